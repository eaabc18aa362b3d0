"""One event of the past and when it arrived."""

from typing import NamedTuple

from jelmon.errors import EventError
from jelmon.events import Event


class Arrival(NamedTuple):
    """An event, or what is wrong with it, and when it arrived (seconds)."""

    time: float
    event: Event | EventError
