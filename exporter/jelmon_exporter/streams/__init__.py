"""Commands for operators of the streams of events and of dead letters."""
