"""The local stack: gets the servers, starts everything on loopback, shows it at work, and takes it all down."""
