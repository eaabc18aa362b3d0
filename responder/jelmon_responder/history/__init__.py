"""The alert history: what it stores, how an alert changes it, and its two databases."""
