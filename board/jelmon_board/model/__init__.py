"""What the pages show, worked out from samples, lines and alerts; no I/O."""
