"""The regression analyzer: which signals got worse, since when, by how much, and with what confidence."""
