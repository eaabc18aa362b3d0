"""How often Python looks for reference cycles: seldom, as the exporter makes hardly any.

By default it looks after each 700 objects more than before, and from time to time at everything that lives. Parsing a
batch makes more objects than that, none of them part of a cycle; what is left are some tasks and exceptions.
"""

import gc

_THRESHOLD = 50_000


def collect_seldom() -> None:
    """Set the process up for the exporter; for those who own the process, not for tests."""
    gc.collect()
    gc.freeze()  # modules and classes are never looked at again
    gc.set_threshold(_THRESHOLD)
