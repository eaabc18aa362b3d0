"""Definitions as frozen data, and what can be said about them without the rest of the compiler."""
