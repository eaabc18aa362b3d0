"""Settings of the regression analyzer."""

from pathlib import Path

import pytest

from jelmon.errors import ConfigError
from jelmon_analyzers.regression.settings import RegressionSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"prometheus_url": "localhost:9090"}, "is not an HTTP URL", id="no scheme"),
        pytest.param({"history_seconds": 3600.0}, "at least 3d", id="too little history"),
        pytest.param({"cycle_seconds": 0.0}, "from 1s", id="no interval"),
        pytest.param({"time_zone": "Europe/Berln"}, "--regression.time-zone: no time zone", id="no such zone"),
        pytest.param({"redis_url": "127.0.0.1:6379"}, "--redis.url: not the address of a Redis", id="no Redis scheme"),
        pytest.param(
            {"redis_url": "redis://:pw@host/0"},
            "--redis.url: not the address of a Redis",
            id="a password in the open",
        ),
        pytest.param(
            {"redis_url": "redis://host/0", "state": Path("x")},
            "--regression.state and --redis.url exclude each other",
            id="two places",
        ),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    """With the flag at fault."""
    with pytest.raises(ConfigError, match=message):
        RegressionSettings(**changes)  # type: ignore[arg-type] # the tests change one field at a time
