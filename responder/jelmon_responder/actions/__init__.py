"""Automated actions: which ones an alert requests, and publishing them on NATS."""
