"""Alerts for people: one entry for an alert and its levels of escalation, with what silences it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from jelmon_board.model.matchers import Matcher
from jelmon_board.model.samples import Labels

SEVERITIES = ("critical", "warning", "info", "none")
LEVEL = "escalation_level"
_QUIET = ("Watchdog",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A silence in Alertmanager. Times are Unix times."""

    id: str
    matchers: tuple[Matcher, ...]
    starts: float
    ends: float
    author: str
    comment: str
    active: bool

    def covers(self, labels: Labels) -> bool:
        """Return whether it silences alerts with these labels now."""
        return self.active and all(matcher.fits(labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A firing alert."""

    labels: Labels
    annotations: Labels
    since: float
    level: int = 0
    receivers: tuple[str, ...] = ()
    inhibited: bool = False
    silence: Silence | None = None
    acknowledgement: Silence | None = None
    """The silence that stops only the escalation: somebody is on it."""
    identity: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        severity = self.labels.get("severity", "")
        return severity if severity in SEVERITIES else "none"

    @property
    def pipeline(self) -> str:
        return self.labels.get("pipeline", "")

    @property
    def stage(self) -> str:
        return self.labels.get("stage", "")

    @property
    def summary(self) -> str:
        return self.annotations.get("summary", "") or self.name

    @property
    def runbook(self) -> str:
        """The address of the runbook; empty unless it is one that a browser may follow."""
        return web_address(self.annotations.get("runbook_url", ""))

    @property
    def details(self) -> list[tuple[str, str]]:
        """The labels that tell it from others with the same name."""
        hidden = {"alertname", "severity", "pipeline", "stage", "rule_id", "team", "job", "instance", "escalation"}
        return sorted((name, value) for name, value in self.labels.items() if name not in {*hidden, LEVEL})

    @property
    def is_quiet(self) -> bool:
        """Whether nobody needs to look: silenced, inhibited, or the heartbeat."""
        return self.silence is not None or self.inhibited or self.name in _QUIET


def web_address(text: str) -> str:
    """Return an address that may stand in a link; empty for anything but http and https."""
    try:
        return text if urlsplit(text).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def merge(raw: Iterable[Alert], silences: Iterable[Silence]) -> list[Alert]:
    """Return one alert for each set of labels without its level, most urgent first."""
    active = [silence for silence in silences if silence.active]
    merged: dict[tuple[tuple[str, str], ...], Alert] = {}
    for alert in raw:
        labels = {name: value for name, value in alert.labels.items() if name != LEVEL}
        level = _level(alert.labels)
        key = tuple(sorted(labels.items()))
        known = merged.get(key)
        if known is None:
            merged[key] = replace(alert, labels=labels, level=level)
            continue
        base, other = (known, alert) if known.level == 0 or level > 0 else (alert, known)
        merged[key] = replace(
            base,
            labels=labels,
            since=min(known.since, alert.since),
            level=max(known.level, level),
            receivers=tuple(sorted({*known.receivers, *alert.receivers})),
            annotations=base.annotations or other.annotations,
            inhibited=known.inhibited and alert.inhibited,
        )
    return sorted((_silenced(alert, active) for alert in merged.values()), key=urgency)


def urgency(alert: Alert) -> tuple[object, ...]:
    """Return the key of the order of alerts: loud before quiet, critical first, unacknowledged first, newest first."""
    return (
        alert.is_quiet,
        SEVERITIES.index(alert.severity),
        alert.acknowledgement is not None,
        -alert.since,
        alert.name,
        alert.identity,
    )


def counts(alerts: Iterable[Alert]) -> Mapping[str, int]:
    """Return the number of alerts that are not quiet, by severity."""
    numbers = dict.fromkeys(SEVERITIES, 0)
    for alert in alerts:
        if not alert.is_quiet:
            numbers[alert.severity] += 1
    return numbers


def _silenced(alert: Alert, active: list[Silence]) -> Alert:
    if not active:
        return alert
    silence = next((silence for silence in active if silence.covers(alert.labels)), None)
    escalated = {**alert.labels, LEVEL: "1"}
    acknowledgement = next(
        (silence for silence in active if silence.covers(escalated) and not silence.covers(alert.labels)), None
    )
    return replace(alert, silence=silence, acknowledgement=acknowledgement)


def _level(labels: Labels) -> int:
    text = labels.get(LEVEL, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
