"""The rows of the dashboard ``quality``."""
