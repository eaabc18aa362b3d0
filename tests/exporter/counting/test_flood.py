"""A flood of names: what exceeds the label limit needs bounded memory, and its counts stay exact."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

from jelmon import catalogue as c
from jelmon_exporter.counting.changes import drain
from jelmon_exporter.counting.handlers.stages import MOST_RUNS

Making = Callable[..., Any]


def test_names_above_the_limit_need_bounded_memory(say: Any, books: Making) -> None:
    """Each name with an open card; the oldest are given up, and the totals count them all."""
    one = books(label_values=5, overflow_pipelines=100, deduplication_ids=1000)

    def flood(first: int, last: int) -> int:
        for number in range(first, last):
            one.apply(say.card_started(f"card-{number}", at=number / 10, pipeline=f"name-{number}"))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    flood(0, 1500)  # until every bound is reached, also that of the ids
    tracemalloc.start()
    before = flood(1500, 2000)
    after = flood(2000, 4000)
    tracemalloc.stop()

    assert (after - before) / 2000 < 100, "bytes for each further name"
    assert len(one.ledger.pipelines) == 105
    assert one.view.value(c.CARDS_STARTED, "other") == 3995
    assert one.view.value(c.CARDS_IN_PROGRESS, "other") == 100


def test_pipelines_above_the_limit_keep_their_cards_apart(say: Any, books: Making) -> None:
    """They share series, but the same card id in two of them is two cards."""
    one = books(label_values=1)
    one.apply(say.card_started("x", at=0, pipeline="first"))
    for pipeline in ("a", "b"):
        one.apply(
            say.card_queued("x", at=0, pipeline=pipeline),
            say.card_started("x", at=2, pipeline=pipeline),
            say.started("x", "build", at=3, pipeline=pipeline),
            say.finished("x", "build", at=5, pipeline=pipeline),
            say.card_finished("x", at=9, pipeline=pipeline),
        )
    view = one.view
    processing = view.value(c.CARD_PROCESSING, "other", "success")
    assert isinstance(processing, tuple)

    assert view.value(c.CARDS_FINISHED, "other", "success") == 2
    assert view.value(c.CARDS_IN_PROGRESS, "other") == 0
    assert view.value(c.STAGE_RUNS_FINISHED, "other", "build", "success") == 2
    assert (processing[0], sum(processing[1])) == (14_000_000, 2)


def test_a_card_with_very_many_runs_stays_small(say: Any, books: Making) -> None:
    """It is stored again whenever it changes; the gauges forget the runs that it forgets."""
    one = books()
    for attempt in range(1, MOST_RUNS + 200):
        one.apply(say.started("a", "build", at=attempt, attempt=attempt))
    one._tracker.apply([say.finished("a", "build", at=5000, attempt=MOST_RUNS + 199)])
    stored = drain(one.ledger).entries["c4:main:a"]

    assert stored is not None
    assert len(one.ledger.pipelines["main"].cards["a"].runs) == MOST_RUNS
    assert one.view.value(c.STAGE_IN_PROGRESS, "main", "build") == MOST_RUNS
    assert len(stored) < 100 * MOST_RUNS
