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
_TAG = re.compile(r"\[jelmore:(?P<tag>[\w-]+:\d{8}T\d{6}Z)(?:/(?P<end>\d{8}T\d{6}Z))?\]")
_REMOVED = "removed from the windows"
_MARKER = "jelmon_ended_by_hand"
"""The label that a marker matches; no alert has it."""


@dataclass(frozen=True, slots=True)
class Step:
    """An action on a silence. ``silence`` is the request body, with ``id`` when it replaces an existing one.

    ``ended``: somebody ended the silence early; nothing is done. ``remember``: a marker is created, since Alertmanager
    forgets an ended silence after its retention, which may be before the window opens.
    """

    action: Literal["keep", "create", "update", "expire", "ended", "remember"]
    tag: str
    silence: Mapping[str, Any]

    @property
    def is_change(self) -> bool:
        """Whether carrying it out changes anything."""
        return self.action not in ("keep", "ended")

    def __str__(self) -> str:
        if self.action in ("ended", "remember"):
            return (
                f"{self.action:<9}{self.tag}  ended by hand; to mute again, expire the silence {{{_MARKER}={self.tag}}}"
            )
        matchers = ",".join(
            f'{matcher["name"]}{_SIGNS[_kind(matcher)]}"{matcher["value"]}"' for matcher in self.silence["matchers"]
        )
        return f"{self.action:<9}{self.tag}  {self.silence['startsAt']} to {self.silence['endsAt']}  {{{matchers}}}"


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
    found = _Existing.of(existing)
    steps = [Step("expire", tag, silence) for tag, silence in found.surplus]
    for tag, silence in wanted.items():
        old, marker = found.silences.pop(tag, None), found.markers.pop(tag, None)
        if old is not None:
            if marker is not None:  # somebody muted again
                steps.append(Step("expire", tag, marker))
            if _same(old, silence, now):
                steps.append(Step("keep", tag, old))
            else:
                steps.append(Step("update", tag, {**silence, "id": old["id"]}))
        elif marker is not None:
            steps.append(Step("ended", tag, marker))
        elif found.ended_by_hand(tag):
            steps.append(Step("remember", tag, _marker(tag, silence)))
        else:
            steps.append(Step("create", tag, silence))
    steps.extend(Step("expire", tag, silence) for tag, silence in (*found.silences.items(), *found.markers.items()))
    return sorted(steps, key=lambda step: (step.tag, step.action))


@dataclass(frozen=True, slots=True)
class _Existing:
    """Our silences in Alertmanager by tag: active or pending ones, markers, and when either was ended early."""

    silences: dict[str, Mapping[str, Any]]
    markers: dict[str, Mapping[str, Any]]
    surplus: list[tuple[str, Mapping[str, Any]]]  # created twice by concurrent runs
    silence_ended: dict[str, datetime]
    marker_ended: dict[str, datetime]

    @classmethod
    def of(cls, existing: Iterable[Mapping[str, Any]]) -> "_Existing":
        found = cls({}, {}, [], {}, {})
        for silence in existing:
            match = _TAG.search(str(silence.get("comment", "")))
            if silence.get("createdBy") != CREATED_BY or match is None:
                continue
            tag, is_marker = match["tag"], any(one["name"] == _MARKER for one in silence["matchers"])
            if _state(silence) == "expired":
                ended = found.marker_ended if is_marker else found.silence_ended
                planned, end = _planned_end(match), _read(silence["endsAt"])
                if planned is not None and end < planned:
                    ended[tag] = max(end, ended.get(tag, end))
                continue
            into = found.markers if is_marker else found.silences
            if tag in into:
                found.surplus.append((tag, silence))
            else:
                into[tag] = silence
        return found

    def ended_by_hand(self, tag: str) -> bool:
        """Return whether the last thing that somebody ended is the silence, and not the marker that remembers it."""
        silence, marker = self.silence_ended.get(tag), self.marker_ended.get(tag)
        return silence is not None and (marker is None or marker < silence)


def _planned_end(match: re.Match[str]) -> datetime | None:
    return datetime.strptime(f"{match['end']}+0000", "%Y%m%dT%H%M%SZ%z") if match["end"] else None


def _marker(tag: str, silence: Mapping[str, Any]) -> dict[str, Any]:
    """Return a silence that matches no alert and lasts as long as the window."""
    return {
        **silence,
        "matchers": [{"name": _MARKER, "value": tag, "isRegex": False, "isEqual": True}],
        "comment": f"Ended by hand: not created again. {silence['comment']}",
    }


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
        "comment": f"{window.description} ({window.owner})"
        f" [jelmore:{_tag(occurrence)}/{occurrence.ends:%Y%m%dT%H%M%SZ}]",
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
            if step.action in ("create", "update", "remember"):
                self._post(step.silence)
            elif step.action == "expire":
                # without its tag: it does not count as ended by hand when the window comes back
                self._post({**_body(step.silence), "comment": _TAG.sub(f"({_REMOVED})", step.silence["comment"])})
                self._api.call("DELETE", f"/api/v2/silence/{step.silence['id']}")
            yield step

    def _post(self, silence: Mapping[str, Any]) -> None:
        self._api.call("POST", "/api/v2/silences", json.dumps(silence).encode())


def _body(silence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a silence that a request may have."""
    return {name: value for name, value in silence.items() if name not in ("status", "updatedAt")}
