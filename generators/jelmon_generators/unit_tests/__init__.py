"""Compiled alerts, signals and windows to promtool unit tests."""
