"""Events in, changes of series out: the working state of a partition, and its commits."""
