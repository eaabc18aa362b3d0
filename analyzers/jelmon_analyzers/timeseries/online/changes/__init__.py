"""Changes that were announced: when a change begins and ends, how large it is, and whether it is severe."""
