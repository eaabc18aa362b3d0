"""Reconcile the silences in Alertmanager with the maintenance windows, without duplicates or leftovers."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from jelmon.bundle.maintenance import Occurrence, occurrences
from jelmon_generators.live.http_api import alertmanager
from jelmon_generators.model.definitions import Window

CREATED_BY = "jelmon"
_SIGNS = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
_TAG = re.compile(r"\[jelmore:([\w-]+):(\d{8}T\d{6}Z)\]")


@dataclass(frozen=True, slots=True)
class Step:
    """An action on a silence. ``silence`` is the request body, with ``id`` when it replaces an existing one."""

    action: Literal["keep", "create", "update", "expire"]
    tag: str
    silence: Mapping[str, Any]

    def __str__(self) -> str:
        matchers = ",".join(
            f'{matcher["name"]}{_SIGNS[_kind(matcher)]}"{matcher["value"]}"' for matcher in self.silence["matchers"]
        )
        return f"{self.action:<7}{self.tag}  {self.silence['startsAt']} to {self.silence['endsAt']}  {{{matchers}}}"


def desired(windows: Iterable[Window], now: datetime, horizon: timedelta) -> dict[str, dict[str, Any]]:
    """Return tag -> silence for every occurrence that is open or starts within the horizon."""
    return {
        _tag(occurrence): _silence(window, occurrence)
        for window in windows
        if window.matchers
        for occurrence in occurrences(window, now, now + horizon)
    }


def plan(wanted: Mapping[str, Mapping[str, Any]], existing: Iterable[Mapping[str, Any]], now: datetime) -> list[Step]:
    """Return the steps that turn the existing silences into the wanted ones. Silences made by others are ignored."""
    ours: dict[str, Mapping[str, Any]] = {}
    steps: list[Step] = []
    for silence in existing:
        match = _TAG.search(str(silence.get("comment", "")))
        if silence.get("createdBy") != CREATED_BY or match is None or _state(silence) == "expired":
            continue
        tag = f"{match.group(1)}:{match.group(2)}"
        if tag in ours:  # created twice by concurrent runs
            steps.append(Step("expire", tag, silence))
        else:
            ours[tag] = silence
    for tag, silence in wanted.items():
        old = ours.pop(tag, None)
        if old is None:
            steps.append(Step("create", tag, silence))
        elif _same(old, silence, now):
            steps.append(Step("keep", tag, old))
        else:
            steps.append(Step("update", tag, {**silence, "id": old["id"]}))
    steps.extend(Step("expire", tag, silence) for tag, silence in ours.items())
    return sorted(steps, key=lambda step: (step.tag, step.action))


def _tag(occurrence: Occurrence) -> str:
    return f"{occurrence.window}:{occurrence.starts:%Y%m%dT%H%M%SZ}"


def _silence(window: Window, occurrence: Occurrence) -> dict[str, Any]:
    matchers: list[dict[str, Any]] = [
        {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in window.matchers
    ]
    if window.spares:
        spared = "|".join(sorted(window.spares))
        matchers.append({"name": "rule_id", "value": spared, "isRegex": True, "isEqual": False})
    return {
        "matchers": matchers,
        "startsAt": _written(occurrence.starts),
        "endsAt": _written(occurrence.ends),
        "createdBy": CREATED_BY,
        "comment": f"{window.description} ({window.owner}) [jelmore:{_tag(occurrence)}]",
    }


def _same(old: Mapping[str, Any], new: Mapping[str, Any], now: datetime) -> bool:
    """Return whether the silence is up to date. Alertmanager moves a start in the past to the time of creation."""
    starts_old, starts_new = _read(old["startsAt"]), _read(new["startsAt"])
    begun = starts_old <= now and starts_new <= now
    return (
        (begun or starts_old == starts_new)
        and _read(old["endsAt"]) == _read(new["endsAt"])
        and old["comment"] == new["comment"]
        and _matchers(old) == _matchers(new)
    )


def _matchers(silence: Mapping[str, Any]) -> set[tuple[str, str, tuple[bool, bool]]]:
    return {(matcher["name"], matcher["value"], _kind(matcher)) for matcher in silence["matchers"]}


def _kind(matcher: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether the matcher is a regular expression, and whether it must match."""
    return matcher.get("isRegex", False), matcher.get("isEqual", True)


def _state(silence: Mapping[str, Any]) -> str:
    return str(silence.get("status", {}).get("state", ""))


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Alertmanager:
    """The silences of a running Alertmanager."""

    def __init__(self, url: str) -> None:
        self._api = alertmanager(url)

    def silences(self) -> list[dict[str, Any]]:
        """Return all silences, including expired ones."""
        silences: list[dict[str, Any]] = self._api.get("/api/v2/silences")
        return silences

    def carry_out(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Send the changes and yield each step when it is done."""
        for step in steps:
            if step.action in ("create", "update"):
                self._api.call("POST", "/api/v2/silences", json.dumps(step.silence).encode())
            elif step.action == "expire":
                self._api.call("DELETE", f"/api/v2/silence/{step.silence['id']}")
            yield step
