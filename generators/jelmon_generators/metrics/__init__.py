"""Declarations of other services' metrics: written from what they expose, and compared with it."""
