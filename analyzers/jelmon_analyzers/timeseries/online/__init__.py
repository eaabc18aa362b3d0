"""The online detector: judges many series as their values arrive, one value per series and step."""
