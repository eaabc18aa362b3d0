"""The online detector, part by part: how time is cut, what is usual, how far it strays, what is an event."""
