"""``jelmon demo``: fetches the servers, runs everything on loopback, shows it at work and stops it."""
