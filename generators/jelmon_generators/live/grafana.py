"""Send dashboards to a Grafana through its API, and compare them with those that it has."""

import difflib
import http
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jelmon.errors import SourceError
from jelmon_generators.live.http_api import Api, StatusError
from jelmon_generators.text import json_text

Json = dict[str, Any]

_ADDED_BY_GRAFANA = ("id", "version", "iteration", "gnetId", "weekStart")
_PROVISIONED = "provisioned"


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the dashboards go."""

    uid: str = "jelmore"
    title: str = "Jelmore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A dashboard to send: its text, and that of the same dashboard in Grafana, if there is one."""

    path: str
    board: Json
    running: Json | None
    folder: Folder
    moved: bool  # it is in another folder

    @property
    def changes(self) -> bool:
        """Whether sending it would change anything."""
        return self.running is None or self.moved or _comparable(self.running) != _comparable(self.board)

    def diff(self) -> str:
        """Return the differences as a unified diff."""
        old = [] if self.running is None else json_text(_comparable(self.running), sort_keys=True).splitlines(True)
        new = json_text(_comparable(self.board), sort_keys=True).splitlines(True)
        return "".join(difflib.unified_diff(old, new, f"{self.path} in Grafana", self.path))


def plan(api: Api, dashboards: Mapping[str, str], folder: Folder) -> list[Push]:
    """Return what sending each dashboard would change.

    Raises:
        SourceError: Grafana does not answer, refuses the token, or has the dashboard from provisioning.
    """
    return [_push(api, path, json.loads(text), folder) for path, text in sorted(dashboards.items())]


def _push(api: Api, path: str, board: Json, folder: Folder) -> Push:
    found = api.find(f"/api/dashboards/uid/{board['uid']}")
    meta = found["meta"] if found else {}
    if meta.get(_PROVISIONED):
        raise SourceError(
            f"{board['uid']} is provisioned from a file ({meta.get('provisionedExternalId', 'unknown')}), so Grafana "
            "does not accept changes of it",
            hint="write the file with `jelmon generate`: Grafana polls it; or remove its provider",
        )
    moved = found is not None and meta.get("folderUid", "") != folder.uid
    return Push(path=path, board=board, running=found and found["dashboard"], folder=folder, moved=moved)


def send(api: Api, pushes: list[Push]) -> Iterator[str]:
    """Send the dashboards that changed; yield what was done.

    Raises:
        SourceError: Grafana refuses one.
    """
    changed = [push for push in pushes if push.changes]
    if changed:
        yield from _ensure_folder(api, changed[0].folder)
    for push in changed:
        answer = api.post(
            "/api/dashboards/db",
            {
                "dashboard": {**push.board, "id": None},
                "folderUid": push.folder.uid,
                "message": "jelmon dashboards push",
                "overwrite": True,  # the files are what counts
            },
        )
        yield f"{push.path}: version {answer['version']} at {answer['url']}"


def _ensure_folder(api: Api, folder: Folder) -> Iterator[str]:
    if api.find(f"/api/folders/{folder.uid}") is not None:
        return
    try:
        api.post("/api/folders", {"uid": folder.uid, "title": folder.title})
    except StatusError as error:
        if error.code in (http.HTTPStatus.CONFLICT, http.HTTPStatus.PRECONDITION_FAILED):
            raise SourceError(
                f"another folder is called {folder.title!r}", hint="choose another --folder.title"
            ) from error
        raise
    yield f"folder {folder.title}: created"


def _comparable(board: Json) -> Json:
    """Return a dashboard without what Grafana adds when it saves one."""
    return {name: value for name, value in board.items() if name not in _ADDED_BY_GRAFANA}
