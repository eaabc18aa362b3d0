"""When silences of firing alerts end, so that their authors are warned before the alerts notify everyone again."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from jelmon.catalogue import SILENCE_END
from jelmon.service.registry import Instruments
from jelmon_responder.alerts import to_utc


class _Status(msgspec.Struct, rename="camel"):
    silenced_by: list[str]


class SilencedAlert(msgspec.Struct):
    """A firing, silenced alert in Alertmanager's API."""

    fingerprint: str
    labels: dict[str, str]
    status: _Status


class Silence(msgspec.Struct, rename="camel"):
    """A silence in Alertmanager's API."""

    id: str
    ends_at: datetime


def last_ends(alerts: Iterable[SilencedAlert], silences: Iterable[Silence]) -> dict[str, datetime]:
    """Return alert name -> when its last silence ends; of several alerts with a name, the first to lose it."""
    ends = {silence.id: to_utc(silence.ends_at) for silence in silences}
    last: dict[str, tuple[str, datetime]] = {}  # fingerprint -> name and end
    for alert in alerts:
        candidates = [ends[silence_id] for silence_id in alert.status.silenced_by if silence_id in ends]
        if alert.fingerprint in last:  # another cluster member reported it too, and may know another silence
            candidates.append(last[alert.fingerprint][1])
        if candidates:
            last[alert.fingerprint] = (alert.labels.get("alertname", ""), max(candidates))
    first_to_end: dict[str, datetime] = {}
    for name, end in last.values():
        first_to_end[name] = min(end, first_to_end.get(name, end))
    return first_to_end


class SilenceGauges:
    """The gauges of silence ends."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._shown: set[str] = set()

    def show(self, ends: dict[str, datetime]) -> None:
        """Export these, and remove all others."""
        for name in self._shown - ends.keys():
            self._instruments.forget(SILENCE_END, alert=name)
        for name, end in ends.items():
            self._instruments.set(SILENCE_END, end.timestamp(), alert=name)
        self._shown = set(ends)
