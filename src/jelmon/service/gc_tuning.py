"""Makes Python search for reference cycles rarely, for services that create hardly any.

By default it searches after every 700 new objects, and now and then among all objects. Parsing a batch of events or a
request of samples creates more objects than that, none of them in a cycle; only some tasks and exceptions are.
"""

import gc

_THRESHOLD = 50_000


def collect_rarely() -> None:
    """Configure the garbage collector of this process. For the command, not for tests."""
    gc.collect()
    gc.freeze()  # modules and classes are never searched again
    gc.set_threshold(_THRESHOLD)
