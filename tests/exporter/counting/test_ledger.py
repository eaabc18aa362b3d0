"""What a ledger commits, its successor takes up."""

from collections.abc import Callable
from typing import Any

from jelmon import catalogue as c
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.changes import drain, drain_all
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.limits import Limits
from jelmon_exporter.counting.restore import restore
from jelmon_exporter.counting.tracker import Tracker
from jelmon_exporter.state.model import Changes, Position, Snapshot


def restored(*batches: Changes) -> Ledger:
    """A successor of a ledger that committed these batches."""
    snapshot = Snapshot(position=Position(time=1_767_225_600.0))
    for changes in batches:
        snapshot.series.update({key: value for key, value in changes.series.items() if value is not None})
        for key, entry in changes.entries.items():
            if entry is None:
                snapshot.entries.pop(key, None)
            else:
                snapshot.entries[key] = entry
        snapshot.declared.update(changes.declared)
        if changes.ids:
            snapshot.ids.append((1_767_225_600.0, changes.ids))
    ledger = Ledger(limits=Limits(), admission=Admission(200))
    restore(ledger, snapshot)
    return ledger


def test_a_successor_goes_on_as_if_nothing_had_happened(say: Any, books: Callable[..., Any]) -> None:
    before = [
        say.card_queued("a", at=0),
        say.card_started("a", at=1),
        say.queued("a", "build", at=1),
        say.started("a", "build", at=2),
        say.queued("b", "build", at=2),
        say.finished("c", "scan", at=2, next_stage="build", held_up=True),
    ]
    after = [
        say.finished("a", "build", at=9),
        say.card_finished("a", at=10),
        say.started("b", "build", at=11),
        say.started("c", "build", at=12),
        before[1],
    ]
    undisturbed = books()
    undisturbed.apply(*before, *after)

    first = books()
    first.ledger.now = 1_767_225_600.0
    for event in before:
        first._tracker.apply([event])
    second = books()
    second.ledger = restored(drain(first.ledger))
    second._tracker = Tracker(second.ledger)
    second.view.update(0, {key: cell.snapshot() for key, cell in second.ledger.table.cells.items()})
    second.apply(*after)

    for metric in c.of_service(c.Service.EXPORTER):
        expected = {
            labels: undisturbed.view.merged(one) for labels, one in undisturbed.view.families[metric.name].items()
        }
        actual = {labels: second.view.merged(one) for labels, one in second.view.families[metric.name].items()}

        assert expected == actual, metric.name


def test_only_what_changed_is_committed(say: Any, books: Callable[..., Any]) -> None:
    one = books()
    one.apply(say.card_started("a", at=0), say.started("b", "build", at=1))
    one._tracker.apply([say.finished("b", "build", at=5)])
    changes = drain(one.ledger)

    assert list(changes.entries) == ["c4:main:b"]
    assert (c.CARDS_STARTED.name, ("main",)) not in changes.series
    assert changes.series[c.STAGE_RUNS_FINISHED.name, ("main", "build", "success")] == 1
    assert not drain(one.ledger)


def test_what_was_restored_is_not_written_again(say: Any, books: Callable[..., Any]) -> None:
    one = books()
    one._tracker.apply([say.card_started("a", at=0)])
    ledger = restored(drain(one.ledger))

    assert not drain(ledger)


def test_the_whole_is_all_that_was_ever_committed(say: Any, books: Callable[..., Any]) -> None:
    one = books()
    one._tracker.apply([say.card_started("a", at=0)])
    first = drain(one.ledger)
    one._tracker.apply([say.started("b", "build", at=1)])
    second = drain(one.ledger)
    whole = drain_all(one.ledger)

    assert whole.series == {
        key: value for key, value in (first.series | second.series).items() if value is not None
    } | {key: value for key, value in whole.series.items() if value is None}
    assert whole.entries == first.entries | second.entries
    assert set(whole.ids) == {*first.ids, *second.ids}
