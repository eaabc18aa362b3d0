"""Fills a ledger from stored state: after a restart, or when a partition changes its owner."""

from collections import deque

from jelmon import catalogue as c
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.state.model import ENTRY_FAULTS, Card, Snapshot, Unreadable, read_entry, stage_of

_SCOPED = {"stage": ("pipeline",), "from_stage": ("pipeline",), "to_stage": ("pipeline",)}
"""Labels whose values are limited per value of another label."""


def restore(ledger: Ledger, snapshot: Snapshot) -> list[Unreadable]:
    """Load a snapshot into an empty ledger; return the entries that cannot be read.

    Series of another version of this program are ignored.
    """
    for (name, labels), value in snapshot.series.items():
        metric = c.BY_NAME.get(name)
        if metric is not None and len(labels) == len(metric.labels):
            _readmit(ledger, metric, labels)
            ledger.table.restore(metric, labels, value)
    ledger.table.mark_committed(snapshot.series, snapshot.position.time)
    unreadable: list[Unreadable] = []
    for name, stored in snapshot.entries.items():
        try:
            entry = read_entry(name, stored)
        except ENTRY_FAULTS as error:
            unreadable.append(Unreadable("entries", name.encode(), stored, str(error)))
            continue
        ledger.now = max(ledger.now, entry.touched)
        if isinstance(entry, Card):
            _restore_card(ledger, entry)
        else:
            ledger.sessions[entry.id] = entry
            if entry.finished is not None:
                ledger.finished.append((entry.touched, entry))
    ledger.finished = deque(sorted(ledger.finished, key=lambda item: item[0]))
    for pipeline, declaration in snapshot.declared.items():
        ledger.declare(pipeline, declaration)
    ledger.newly_declared = {}
    ledger.deduplication.restore(snapshot.ids)
    return unreadable


def _readmit(ledger: Ledger, metric: c.Metric, labels: tuple[str, ...]) -> None:
    named = dict(zip(metric.labels, labels, strict=True))
    for label, value in named.items():
        if label not in metric.closed and label not in ("type", "metric"):
            scope = tuple(named[parent] for parent in _SCOPED.get(label, ()))
            ledger.admission.readmit(("stage" if scope else label, *scope), value, ledger)


def _restore_card(ledger: Ledger, card: Card) -> None:
    pipeline = ledger.pipeline(card.pipeline)
    pipeline.cards[card.id] = card
    if card.finished is not None:
        ledger.finished.append((card.touched, card))
    for key, life in card.runs.items():
        if life.live and life.started is not None:
            pipeline.stage(stage_of(key)).running_items.fresh.append(life)
        elif life.live and life.queued is not None:
            pipeline.stage(stage_of(key)).waiting_items.fresh.append(life)
