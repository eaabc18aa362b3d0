"""Range queries to a Prometheus, or another server with its API."""

import http.client
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlencode, urlsplit

import msgspec
import numpy as np

from jelmon.errors import SourceError
from jelmon_history.columns import Floats, Labels

_TIMEOUT_SECONDS = 300.0


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    result: list[_Series] = []


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


_decode = msgspec.json.Decoder(_Answer).decode


class Prometheus:
    """A server to query, from any thread."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._parts = urlsplit(url.rstrip("/"))
        self._headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}

    def read(self, expr: str, *, first: int, count: int, step: float) -> dict[Labels, Floats]:
        """Return ``count`` values of every series, at multiples of ``step`` from number ``first`` on; NaN is missing.

        Raises:
            SourceError: the server does not answer, or refuses the expression.
        """
        query = {"query": expr, "start": first * step, "end": (first + count - 1) * step, "step": step}
        answer = self._ask(urlencode({name: str(value) for name, value in query.items()}), expr)
        series: dict[Labels, Floats] = {}
        for each in answer.result:
            values = np.full(count, np.nan)
            for time, text in each.values:
                values[round(time / step) - first] = float(text)
            series[tuple(sorted(each.metric.items()))] = np.where(np.isfinite(values), values, np.nan)
        return series

    def _ask(self, body: str, expr: str) -> _Data:
        https = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
        try:
            # a connection for each query: threads of a pool end without closing what they hold
            with closing(kind(self._parts.hostname or "", self._parts.port, timeout=_TIMEOUT_SECONDS)) as connection:
                connection.request("POST", f"{self._parts.path}/api/v1/query_range", body, self._headers)
                answer = _decode(connection.getresponse().read())
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise SourceError(
                f"{self._parts.netloc} does not answer a query: {error or type(error).__name__}",
                hint="check that it runs, and that the URL is that of its API without /api/v1",
            ) from error
        if answer.status != "success" or answer.data is None:
            raise SourceError(f"{self._parts.netloc} refuses a query: {answer.error}", hint=f"the query is: {expr}")
        return answer.data
