"""The JSON file from the compiler to the responder: a fingerprint of the rendered rules, and the maintenance windows.

The two services never import each other. The file is rendered and committed like the rules themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from jelmon.bundle.maintenance import FIRST_YEAR, LAST_YEAR, Maintenance
from jelmon.bundle.recurrence import Recurrence, RecurrenceError
from jelmon.errors import ConfigError

PATH = "deploy/responder/rules.json"
"""The path of the file, relative to the root of the generated files."""
_BANNER = "generated from rules/, do not edit"
_LONGEST_SECONDS = 366 * 86400.0


class _Window(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    name: str
    matchers: dict[str, str]
    first: date
    at: time
    zone: str
    duration_seconds: float
    rrule: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    about: str
    fingerprint: int
    windows: list[_Window]


@dataclass(frozen=True, slots=True)
class RulesFile:
    """The content of the file. The fingerprint is less than 2**48, so that a Prometheus sample holds it exactly."""

    fingerprint: int
    windows: tuple[Maintenance, ...]


def encode(fingerprint: int, windows: Iterable[Maintenance]) -> str:
    """Return the text of the file."""
    entries = [
        _Window(
            name=window.name,
            matchers=dict(window.matchers),
            first=window.first,
            at=window.at,
            zone=window.zone.key,
            duration_seconds=window.duration_seconds,
            rrule=str(window.recurrence or ""),
        )
        for window in windows
    ]
    return msgspec.json.format(msgspec.json.encode(_File(_BANNER, fingerprint, entries))).decode() + "\n"


def decode(content: bytes) -> RulesFile:
    """Return the content of a file.

    Raises:
        ConfigError: it is not such a file, or this machine lacks a time zone that it names.
    """
    try:
        file = msgspec.json.decode(content, type=_File)
        return RulesFile(file.fingerprint, tuple(_read(window) for window in file.windows))
    except (msgspec.DecodeError, UnicodeDecodeError, RecurrenceError) as error:
        raise ConfigError(
            f"not a rules file from `jelmon generate`: {error}", hint=f"`jelmon generate` renders {PATH}"
        ) from error


def _read(window: _Window) -> Maintenance:
    try:
        zone = ZoneInfo(window.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"window {window.name!r}: unknown time zone {window.zone!r}",
            hint="install the package tzdata, or correct the name",
        ) from error
    if not 0 < window.duration_seconds <= _LONGEST_SECONDS or not FIRST_YEAR <= window.first.year <= LAST_YEAR:
        raise ConfigError(
            f"window {window.name!r}: starts on {window.first} and lasts {window.duration_seconds:g} s",
            hint=f"a window starts from {FIRST_YEAR} to {LAST_YEAR} and lasts at most 366 days",
        )
    return Maintenance(
        name=window.name,
        matchers=tuple(sorted(window.matchers.items())),
        first=window.first,
        at=window.at,
        zone=zone,
        duration_seconds=window.duration_seconds,
        recurrence=Recurrence.parse(window.rrule) if window.rrule else None,
    )
