"""Numerical detection on NumPy arrays: change points of whole series, and changes as values arrive. No I/O."""
