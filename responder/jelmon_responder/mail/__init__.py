"""E-mail: its text, its hourly budget and sending it."""
