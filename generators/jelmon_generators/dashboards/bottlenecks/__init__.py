"""The rows of the dashboard ``bottlenecks``."""
