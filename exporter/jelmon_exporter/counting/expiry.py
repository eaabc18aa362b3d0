"""Drops what a ledger no longer needs: finished cards, cards that were given up, and idle series."""

from jelmon import catalogue as c
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.pipeline_series import PipelineSeries
from jelmon_exporter.series.cells import OVERFLOW, Cell, HistogramCell, Key, real
from jelmon_exporter.state.model import Card

SWEEP_SECONDS = 600.0
"""How often all cards and series are examined; both limits that the sweep enforces are hours or days."""

_NEVER_IDLE = ("outcome", "type", "metric")
_COUNTS_OPEN_ITEMS = {
    metric.name
    for metric in (
        c.CARDS_WAITING,
        c.CARDS_IN_PROGRESS,
        c.STAGE_QUEUE_DEPTH,
        c.STAGE_IN_PROGRESS,
        c.STAGE_HELD_UP,
        c.SESSIONS_ACTIVE,
    )
}

Group = tuple[tuple[str, str], ...]
"""Series that come and go together: the names and values of their open labels."""


def expire(ledger: Ledger) -> None:
    """Drop entries that finished long enough ago and, every `SWEEP_SECONDS`, what was given up or is idle."""
    limits, finished, now = ledger.limits, ledger.finished, ledger.now
    while finished and (finished[0][0] < now - limits.finished_seconds or len(finished) > limits.finished_entries):
        noted, entry = finished.popleft()
        if entry.finished is not None and entry.touched <= noted:
            ledger.remove(entry)
        elif entry.finished is not None:
            finished.append((entry.touched, entry))
    _bound_overflow(ledger)
    if not ledger.swept <= now <= ledger.swept + SWEEP_SECONDS:  # also after a clock that was ahead was set back
        ledger.swept = now
        _sweep(ledger)


def _bound_overflow(ledger: Ledger) -> None:
    """Give up the cards of the pipelines above the label limit that are known longest: names have no other bound."""
    while len(ledger.overflowing) > ledger.limits.overflow_pipelines:
        name = next(iter(ledger.overflowing))
        pipeline = ledger.pipelines[name]
        for card in list(pipeline.cards.values()):
            ledger.close_card(pipeline, card)
            ledger.remove(card)
        _forget(ledger, name)


def _forget(ledger: Ledger, name: str) -> None:
    del ledger.pipelines[name]
    ledger.overflowing.pop(name, None)


def _sweep(ledger: Ledger) -> None:
    for name, pipeline in list(ledger.pipelines.items()):
        _sweep_cards(ledger, pipeline)
        if pipeline.label == OVERFLOW and not pipeline.cards:
            _forget(ledger, name)
    ledger.flush()
    _drop_idle_series(ledger)
    given_up = ledger.now - ledger.limits.retention_seconds
    for session in [session for session in ledger.sessions.values() if session.touched < given_up]:
        if session.live:
            active = ledger.table.cell(c.SESSIONS_ACTIVE, ledger.label("kind", session.kind))
            if active.value:  # 0 or absent if the kind was above the label limit, or below it, when the session began
                active.add(-1)
            session.live = False
        ledger.remove(session)


def _sweep_cards(ledger: Ledger, pipeline: PipelineSeries) -> None:
    given_up = ledger.now - ledger.limits.retention_seconds
    idle = ledger.now - ledger.limits.finished_seconds
    for card in list(pipeline.cards.values()):
        if card.touched < given_up or (card.touched < idle and not _is_open(card)):
            ledger.close_card(pipeline, card)
            ledger.remove(card)


def _drop_idle_series(ledger: Ledger) -> None:
    """Drop series of stages, targets and so on that have not changed for a long time, to make room for others."""
    groups = _groups(ledger)
    declared = _declared_stages(ledger)
    since = ledger.now - ledger.limits.idle_seconds
    idle = {
        group
        for group, cells in groups.items()
        if group not in declared and all(_is_idle(cell, since) for cell in cells)
    }
    needed = _needed_pipelines(ledger) | {group[0] for group in groups if len(group) > 1 and group not in idle}
    for group in idle:
        if len(group) > 1 or group[0] not in needed:
            for cell in groups[group]:
                ledger.table.drop(cell.key)
            _release(ledger, dict(group))


def _groups(ledger: Ledger) -> dict[Group, list[Cell | HistogramCell]]:
    groups: dict[Group, list[Cell | HistogramCell]] = {}
    for key, cell in ledger.table.cells.items():
        group = _group(key)
        if group:
            groups.setdefault(group, []).append(cell)
    return groups


def _declared_stages(ledger: Ledger) -> set[Group]:
    return {
        (("pipeline", real(pipeline)), ("stage", real(stage.stage)))
        for pipeline, declaration in ledger.declared.items()
        for stage in declaration.data.stages
    }


def _needed_pipelines(ledger: Ledger) -> set[tuple[str, str]]:
    """Return the pipelines with cards or a declaration, each as label name and value."""
    with_cards = {("pipeline", series.label) for series in ledger.pipelines.values() if series.cards}
    return with_cards | {("pipeline", real(name)) for name in ledger.declared}


def _release(ledger: Ledger, labels: dict[str, str]) -> None:
    """Make room for another label value, and drop every reference to the dropped cells."""
    ledger.outcome_counters.clear()
    match labels:
        case {"pipeline": label, "stage": stage}:
            for pipeline in _with_label(ledger, label):
                pipeline.drop_stages({stage})
            ledger.admission.release(("stage", label), stage, ledger)
        case {"pipeline": label, "from_stage": _}:
            for pipeline in _with_label(ledger, label):
                pipeline.drop_stages(set())
        case _:
            name, value = list(labels.items())[-1]
            if name == "pipeline":
                ledger.pipelines = {key: series for key, series in ledger.pipelines.items() if series.label != value}
                if value == OVERFLOW:
                    ledger.overflow, ledger.overflowing = None, {}
            if not any(value in values for _, values in ledger.table.cells):
                ledger.admission.release((name,), value, ledger)


def _with_label(ledger: Ledger, label: str) -> list[PipelineSeries]:
    """Return the pipelines with a label; one of those above the limit, as they share what can be dropped."""
    if label == OVERFLOW:
        return [ledger.overflow] if ledger.overflow is not None else []
    return [pipeline for pipeline in ledger.pipelines.values() if pipeline.label == label]


def _group(key: Key) -> Group:
    name, values = key
    metric = c.BY_NAME[name]
    return tuple(
        (label, value)
        for label, value in zip(metric.labels, values, strict=True)
        if label not in _NEVER_IDLE and label not in metric.closed
    )


def _is_open(card: Card) -> bool:
    """Return whether a card was queued or started, or has open runs."""
    return card.queued is not None or card.started is not None or any(life.live for life in card.runs.values())


def _is_idle(cell: Cell | HistogramCell, since: float) -> bool:
    """Return whether a series is unchanged since then and does not count open items."""
    return not cell.dirty and cell.changed_at < since and not (cell.key[0] in _COUNTS_OPEN_ITEMS and cell.snapshot())
