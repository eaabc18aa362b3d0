"""State that survives a restart: its model, and the stores that hold it."""
