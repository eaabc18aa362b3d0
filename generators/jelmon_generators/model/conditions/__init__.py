"""The conditions of alerts: each kind is one class in a module here, and one row in `kinds`."""
