"""Suggestions: what to do about what the analyzers found, what it should gain, and what came of it."""
