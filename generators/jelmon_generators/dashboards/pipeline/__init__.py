"""The rows of the dashboard ``pipeline``."""
