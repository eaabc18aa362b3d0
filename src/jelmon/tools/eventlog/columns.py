"""The meaning of the columns of a process event log: from given names, else from common names."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jelmon.errors import ConfigError

COMMON_NAMES: dict[str, tuple[str, ...]] = {
    "case": ("case_id", "case:concept:name", "case", "caseid", "case_name", "trace_id", "trace", "card_id", "card"),
    "activity": ("activity", "concept:name", "activity_name", "task", "event", "stage", "step", "event_name"),
    "queued": (
        "queued_ts",
        "queued",
        "enabled_ts",
        "enable_time",
        "enabled_time",
        "enabled",
        "queue_time",
        "scheduled",
    ),
    "start": ("start_ts", "start_timestamp", "start_time", "starttime", "start", "started", "started_at"),
    "end": (
        "complete_ts",
        "end_ts",
        "end_timestamp",
        "end_time",
        "endtime",
        "complete_time",
        "completion_time",
        "end",
        "complete",
        "finished",
        "finished_at",
    ),
    "timestamp": ("time:timestamp", "timestamp", "time", "event_time", "date", "datetime", "ts"),
    "lifecycle": ("lifecycle:transition", "lifecycle", "transition", "event_type"),
    "resource": ("resource", "org:resource", "worker", "user", "agent", "org:role"),
    "outcome": ("outcome", "result", "status"),
}
"""Meaning -> names, the most certain first; compared ignoring case, spaces and hyphens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Positions of the columns: ``start``, ``end`` or both, or else ``timestamp``."""

    case: int
    activity: int
    queued: int | None = None
    start: int | None = None
    end: int | None = None
    timestamp: int | None = None
    lifecycle: int | None = None
    resource: int | None = None
    outcome: int | None = None

    def described(self, header: Sequence[str]) -> str:
        """Return ``case=case_id, activity=activity, ...``."""
        positions = ((meaning, getattr(self, meaning)) for meaning in COMMON_NAMES)
        return ", ".join(f"{meaning}={header[position]}" for meaning, position in positions if position is not None)


def choose_columns(header: Sequence[str], given: Mapping[str, str | None], *, path: str) -> Columns:
    """Return the columns by the given names (meaning -> name), the others by common names; ``none`` omits one.

    Raises:
        ConfigError: a name is not in the header, or a required column is missing.
    """
    chosen: dict[str, int] = {}
    for meaning, name in given.items():
        if name is not None and name != "none":
            chosen[meaning] = _position(header, name, flag=f"--{meaning}", path=path)
    spans = {"start", "end"} & chosen.keys()
    points = {"timestamp", "lifecycle"} & chosen.keys()
    if spans and points:
        raise ConfigError(
            "--start and --end cannot be combined with --timestamp and --lifecycle",
            hint="a log has either one row per run, or one row per lifecycle transition of a run",
        )
    for meaning in COMMON_NAMES:
        if meaning in chosen or given.get(meaning) == "none":
            continue
        if (points and meaning in ("start", "end", "queued")) or (spans and meaning in ("timestamp", "lifecycle")):
            continue
        position = _common(header, meaning, taken=set(chosen.values()))
        if position is not None:
            chosen[meaning] = position
    return Columns(**_consistent(chosen, header, path))


def _consistent(chosen: dict[str, int], header: Sequence[str], path: str) -> dict[str, int]:
    for meaning in ("case", "activity"):
        if meaning not in chosen:
            raise _missing(f"the {meaning} column", f"--{meaning}", header, path)
    if "end" in chosen and "start" in chosen:  # one row per run
        chosen.pop("timestamp", None)
        chosen.pop("lifecycle", None)
    elif "timestamp" in chosen:  # one row per transition
        for meaning in ("queued", "start", "end"):
            chosen.pop(meaning, None)
    elif "end" not in chosen and "start" not in chosen:
        raise _missing("a column with times", "--start and --end, or --timestamp and --lifecycle,", header, path)
    else:
        chosen.pop("lifecycle", None)
    return chosen


def _missing(what: str, flags: str, header: Sequence[str], path: str) -> ConfigError:
    return ConfigError(f"{path}: cannot find {what}", hint=f"name it with {flags} one of: {_listed(header)}")


def _position(header: Sequence[str], name: str, *, flag: str, path: str) -> int:
    if name in header:
        return header.index(name)
    near = difflib.get_close_matches(name, header, n=1)
    raise ConfigError(
        f"{flag}: {path} has no column {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else f"its columns are {_listed(header)}",
    )


def _common(header: Sequence[str], meaning: str, *, taken: set[int]) -> int | None:
    plain = [_plain(name) for name in header]
    for name in COMMON_NAMES[meaning]:
        if name in plain and plain.index(name) not in taken:
            return plain.index(name)
    return None


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _listed(header: Sequence[str]) -> str:
    names = [repr(name[:40]) for name in header[:20]]
    return ", ".join(names) + (f" and {len(header) - 20} more" if len(header) > 20 else "")
