"""The regression analyzer: which signals are worse than they were, since when, by how much, and how sure that is."""
