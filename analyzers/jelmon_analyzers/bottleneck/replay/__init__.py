"""Replays of a recorded window with one thing changed, to find what the change would gain."""
