"""Remote-write requests as bytes: compression, protobuf, and the checks that need no database."""
