"""A value once shown never goes down in silence."""

from jelmon import catalogue as c
from jelmon_exporter.serving.view import HOLD_SECONDS, View

COUNTER = (c.CARDS_STARTED.name, ("main",))
GAUGE = (c.CARDS_IN_PROGRESS.name, ("main",))
HISTOGRAM = (c.CARD_WAIT.name, ("main",))


class Scene:
    """A view with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.resets = 0
        self.view = View(clock=lambda: self.now, on_reset=self._reset)
        self.view.update(0, {COUNTER: 10, GAUGE: 5, HISTOGRAM: (9, (1, 1))})

    def _reset(self) -> None:
        self.resets += 1

    def shown(self) -> tuple[object, object, object]:
        self.view.accept_decreases()
        return tuple(self.view.value(c.BY_NAME[name], *labels) for name, labels in (COUNTER, GAUGE, HISTOGRAM))  # type: ignore[return-value]


def test_a_lower_counter_is_held_until_it_is_caught_up_with() -> None:
    scene = Scene()
    scene.view.update(0, {COUNTER: 8, GAUGE: 1, HISTOGRAM: (4, (0, 1))})

    assert scene.shown() == (10, 1, (9, (1, 1)))

    scene.view.update(0, {COUNTER: 11, HISTOGRAM: (9, (1, 1))})
    scene.now = 2 * HOLD_SECONDS

    assert scene.shown() == (11, 1, (9, (1, 1)))
    assert scene.resets == 0


def test_a_counter_that_stays_lower_is_accepted_and_counted() -> None:
    scene = Scene()
    scene.view.update(0, {COUNTER: 8})
    scene.now = HOLD_SECONDS - 1

    assert scene.shown()[0] == 10

    scene.now = HOLD_SECONDS

    assert scene.shown()[0] == 8
    assert scene.resets == 1


def test_what_is_gone_from_the_store_is_held_too() -> None:
    """A store that was emptied: gauges go at once, counters only after the time to catch up."""
    scene = Scene()
    scene.view.replace(0, {})

    assert scene.shown() == (10, None, (9, (1, 1)))

    scene.now = HOLD_SECONDS

    assert scene.shown() == (None, None, None)
    assert scene.resets == 1


def test_a_series_that_its_owner_drops_goes_at_once() -> None:
    scene = Scene()
    scene.view.update(0, {COUNTER: None})

    assert scene.shown()[0] is None
    assert scene.resets == 0
