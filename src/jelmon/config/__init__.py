"""Reading configuration: flags, environment, secret files, strict YAML, and checks of addresses and URLs."""
