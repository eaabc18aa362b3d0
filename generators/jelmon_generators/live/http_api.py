"""The parts of the HTTP APIs of Prometheus and Alertmanager that the commands use."""

import http
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from jelmon.errors import SourceError

_TIMEOUT_SECONDS = 60.0
_LONGEST_DETAIL = 2000  # characters: a proxy may answer with a page
_QUERY_TIMEOUT_SECONDS = 150.0  # Prometheus times out after two minutes, with a reason


class StatusError(SourceError):
    """The server answered with an error."""

    def __init__(self, message: str, *, code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Api:
    """A server. ``flag`` is the command-line flag that sets its URL."""

    def __init__(self, url: str, *, name: str, flag: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._name = name
        self._flag = flag
        self._token = token

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        kind: str = "application/json",
        timeout: float = _TIMEOUT_SECONDS,
    ) -> bytes:
        """Send a request and return the response body.

        Raises:
            SourceError: no response, or an error; with the message of the server.
        """
        headers = {"Content-Type": kind} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self._url + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            detail = error.read().decode("utf-8", "replace").strip()[:_LONGEST_DETAIL]
            raise StatusError(f"{method} {self._url}{path}: {error.code} {detail}", code=error.code) from error
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            raise SourceError(
                f"{self._name} at {self._url} does not answer: {error}", hint=f"set {self._flag}"
            ) from error

    def get(self, path: str) -> Any:
        """Return the JSON response to a GET request."""
        return json.loads(self.call("GET", path))

    def find(self, path: str) -> Any:
        """Return the JSON response to a GET request; None if there is no such thing."""
        try:
            return self.get(path)
        except StatusError as error:
            if error.code == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def post(self, path: str, content: object) -> Any:
        """Send JSON and return the JSON response."""
        return json.loads(self.call("POST", path, json.dumps(content).encode()))

    def form(self, path: str, fields: Mapping[str, str]) -> Any:
        """Return the JSON response to a query sent as a form."""
        body = urllib.parse.urlencode(fields).encode()
        kind = "application/x-www-form-urlencoded"
        return json.loads(self.call("POST", path, body, kind=kind, timeout=_QUERY_TIMEOUT_SECONDS))


def prometheus(url: str) -> Api:
    """Return the API of a Prometheus."""
    return Api(url, name="Prometheus", flag="--prometheus.url")


def alertmanager(url: str) -> Api:
    """Return the API of an Alertmanager."""
    return Api(url, name="Alertmanager", flag="--alertmanager.url")


def grafana(url: str, token: str | None) -> Api:
    """Return the API of a Grafana."""
    return Api(url, name="Grafana", flag="--grafana.url", token=token)
