"""What a commit of a ledger has to write: drains the changes since the last commit, as absolute values."""

from jelmon_exporter.counting.expiry import expire
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.pipeline_series import PipelineSeries
from jelmon_exporter.state.model import Card, Changes, Session, card_key, encode_entry, entry_key, session_key


def drain(ledger: Ledger) -> Changes:
    """Return what changed since the last call, after dropping what has expired."""
    entries = _drain_entries(ledger)
    expire(ledger)
    for key in ledger.removed:  # only `expire`, just above, removes: nothing can be back yet
        entries[key] = None
    ledger.removed.clear()
    ledger.flush()  # expiry may have changed gauges
    changes = Changes(series=ledger.table.drain(ledger.now), entries=entries, declared=ledger.newly_declared)
    ledger.newly_declared = {}
    if ledger.traced:
        changes.exemplars = ledger.table.drain_exemplars(changes.series)
        ledger.traced = False
    changes.ids, changes.expired_batches = ledger.deduplication.drain(ledger.now)
    return changes


def drain_all(ledger: Ledger) -> Changes:
    """Return the whole state as changes, for a store that has fallen back to an older one."""
    changes = drain(ledger)
    changes.series = {key: cell.snapshot() for key, cell in ledger.table.cells.items()}
    cards = (card for pipeline in ledger.pipelines.values() for card in pipeline.cards.values())
    entries: list[Card | Session] = [*cards, *ledger.sessions.values()]
    for entry in entries:
        changes.entries[entry_key(entry)] = encode_entry(entry)
    changes.declared = dict(ledger.declared)
    changes.ids, changes.expired_batches = ledger.deduplication.collapse(ledger.now), 0
    return changes


def _drain_entries(ledger: Ledger) -> dict[str, bytes | None]:
    """Return the cards and sessions that changed since the last call, encoded, by key."""
    now = ledger.now
    entries: dict[str, bytes | None] = {}
    for series in ledger.busy:
        if isinstance(series, PipelineSeries) and series.changed:
            prefix = card_key(series.name, "")
            for card_id, card in series.changed.items():
                card.touched = now
                entries[prefix + card_id] = encode_entry(card)
            series.changed.clear()
    for session in ledger.changed_sessions.values():
        session.touched = now
        entries[session_key(session.id)] = encode_entry(session)
    ledger.changed_sessions.clear()
    ledger.flush()
    return entries
