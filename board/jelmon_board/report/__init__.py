"""`jelmon report`: the pictures and sentences of a span of days in one file."""
