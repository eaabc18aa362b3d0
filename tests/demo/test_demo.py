"""Which servers the demo needs, and what it does without the others."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from jelmon.demo import demo, servers
from jelmon.errors import SourceError


def without(*missing: str) -> Callable[[Iterable[str], servers.Say], dict[str, Path]]:
    """`servers.get` on a machine where some programs cannot be had."""

    def get(names: Iterable[str], say: servers.Say) -> dict[str, Path]:
        for name in names:
            if name in missing:
                raise SourceError(f"{name} is missing and could not be fetched\n  tried apt: no network")
        return {name: Path("/usr/bin", name) for name in names}

    return get


def test_without_redis_and_postgresql_the_demo_says_where_state_and_history_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "get", without("redis-server", "initdb"))
    said: list[str] = []

    assert sorted(demo.programs(said.append)) == ["alertmanager", "nats-server", "prometheus"]
    assert said == [
        "redis-server is missing and could not be fetched: the exporter keeps its state on disk",
        "initdb is missing and could not be fetched: the responder keeps the alert history in SQLite, "
        "and there is no store",
    ]


def test_without_prometheus_there_is_no_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "get", without("prometheus"))

    with pytest.raises(SourceError, match="prometheus is missing and could not be fetched"):
        demo.programs(print)
