"""What can be wrong with an expression, and what it is judged against."""

from typing import NamedTuple

from jelmon_generators.checks import Check
from jelmon_generators.targets import OLDEST, Target


class Fault(NamedTuple):
    """Something wrong in an expression; ``needle`` is the text to underline."""

    check: Check
    message: str
    hint: str = ""
    needle: str = ""


class Limits(NamedTuple):
    """Bounds of windows, in seconds, and the versions that evaluate the expression."""

    scrape_interval: float = 15.0
    retention: float = 15 * 86400.0
    target: Target = OLDEST
    tolerant: bool = False  # an unknown metric is a warning; then nothing else that depends on metrics is a fault
