"""Suggestions: strategies matched against the findings of the analyzers, with expected gain and measured effect."""
