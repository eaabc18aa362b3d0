"""Automated actions: what alerts ask for, and the way it goes out."""
