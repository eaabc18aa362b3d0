"""When silences of alerts that still fire end: whoever silenced a fault should hear of it before everybody does."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from jelmon.catalogue import SILENCE_END
from jelmon.service.registry import Instruments
from jelmon_responder.http.webhook import in_utc


class _Status(msgspec.Struct, rename="camel"):
    silenced_by: list[str]


class SilencedAlert(msgspec.Struct):
    """An alert that fires and is silenced, as Alertmanager tells it."""

    fingerprint: str
    labels: dict[str, str]
    status: _Status


class Silence(msgspec.Struct, rename="camel"):
    """A silence, as Alertmanager tells it."""

    id: str
    ends_at: datetime


def last_ends(alerts: Iterable[SilencedAlert], silences: Iterable[Silence]) -> dict[str, datetime]:
    """Name of an alert -> when its last silence ends; of several alerts of a name, the first to lose it."""
    ends = {silence.id: in_utc(silence.ends_at) for silence in silences}
    last: dict[str, tuple[str, datetime]] = {}  # fingerprint -> name and end
    for alert in alerts:
        own = [ends[one] for one in alert.status.silenced_by if one in ends]
        if alert.fingerprint in last:  # another member of the cluster told of it, and may know another silence
            own.append(last[alert.fingerprint][1])
        if own:
            last[alert.fingerprint] = (alert.labels.get("alertname", ""), max(own))
    found: dict[str, datetime] = {}
    for name, end in last.values():
        found[name] = min(end, found.get(name, end))
    return found


class SilenceGauges:
    """What is known of silences, as gauges."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._shown: set[str] = set()

    def show(self, ends: dict[str, datetime]) -> None:
        """Show these, and no others."""
        for name in self._shown - ends.keys():
            self._instruments.forget(SILENCE_END, alert=name)
        for name, end in ends.items():
            self._instruments.set(SILENCE_END, end.timestamp(), alert=name)
        self._shown = set(ends)
