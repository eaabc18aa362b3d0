"""Settings: defaults, environment, flags, and a message that names what is wrong."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pytest

from jelmon.config.reader import SettingsReader
from jelmon.errors import ConfigError
from jelmon_exporter.command import add_arguments
from jelmon_exporter.settings import ExporterSettings


def read(environ: Mapping[str, str], *flags: str) -> ExporterSettings:
    """Read the settings as the command does."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return ExporterSettings.read(SettingsReader(parser.parse_args(flags), environ))


def test_defaults() -> None:
    settings = read({})

    assert str(settings.listen_address) == "127.0.0.1:9746"
    assert (settings.collection_interval, settings.retention, settings.redis_url) == (30.0, 7 * 86400.0, None)


def test_flags_come_before_the_environment() -> None:
    environ = {
        "NATS_URL": "nats://one:4222",
        "REDIS_URL": "redis://one:6379/0",
        "METRICS_COLLECTION_INTERVAL": "10s",
        "METRICS_RETENTION_DAYS": "2",
        "JELMON_PIPELINES": "p.yaml",
    }
    settings = read(environ, "--nats.url", "nats://two:4222", "--collection-interval", "5s")

    assert settings.nats is not None
    assert settings.nats.url == "nats://two:4222"
    assert settings.redis_url == "redis://one:6379/0"
    assert (settings.collection_interval, settings.retention) == (5.0, 2 * 86400.0)
    assert settings.pipelines_file == Path("p.yaml")


def test_the_password_of_redis_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    settings = read({"REDIS_PASSWORD_FILE": str(path)})

    assert settings.redis_password is not None
    assert settings.redis_password() == "secret"
    assert "secret" not in repr(settings)

    path.write_text("renewed\n")
    assert settings.redis_password() == "renewed"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--web.events", "maybe"], "--web.events: 'maybe' is not allowed"),
        (["--web.events", "off", "--nats.url", "none"], "without NATS, events come over HTTP only"),
        (["--web.events-users", "ci"], "there are no users without a web config"),
    ],
)
def test_switches_of_the_event_endpoint(flags: list[str], message: str) -> None:
    assert (read({}).events, read({}, "--web.events", "off").events) == (True, False)
    with pytest.raises(ConfigError) as caught:
        read({}, *flags)

    assert message in caught.value.message


@pytest.mark.parametrize("path", ["metrics", "/", "/-/ready", "/health", "/api/v1/events"])
def test_figures_have_a_path_of_their_own(path: str) -> None:
    with pytest.raises(ConfigError, match=r"^--web.telemetry-path"):
        read({}, "--web.telemetry-path", path)


@pytest.mark.parametrize("url", ["redis://h", "redis://h:6379/", "rediss://h:6379/3", "unix:///run/redis.sock?db=1"])
def test_addresses_of_redis(url: str) -> None:
    assert read({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"METRICS_COLLECTION_INTERVAL": "often"}, "METRICS_COLLECTION_INTERVAL: 'often' is not a duration"),
        ({"METRICS_COLLECTION_INTERVAL": "10ms"}, "METRICS_COLLECTION_INTERVAL: 0.01 is too small"),
        ({"METRICS_RETENTION_DAYS": "week"}, "METRICS_RETENTION_DAYS: 'week' is not a number"),
        ({"METRICS_RETENTION_DAYS": "nan"}, "METRICS_RETENTION_DAYS: 'nan' is not a number"),
        ({"METRICS_RETENTION_DAYS": "-1"}, "METRICS_RETENTION_DAYS: -1 is too small"),
        ({"METRICS_LABEL_LIMIT": "inf"}, "METRICS_LABEL_LIMIT: 'inf' is not a whole number"),
        ({"METRICS_BATCH_EVENTS": "2.5"}, "METRICS_BATCH_EVENTS: '2.5' is not a whole number"),
        ({"REDIS_URL": "redis://host:6379/first"}, "REDIS_URL: not the address of a Redis server"),
        ({"METRICS_LABEL_LIMIT": "0"}, "METRICS_LABEL_LIMIT: 0 is too small"),
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL: not the address of a Redis server"),
        ({"REDIS_URL": "redis://:hunter2@host/0"}, "REDIS_PASSWORD_FILE"),
        ({"REDIS_PREFIX": "a{b}"}, "REDIS_PREFIX"),
        ({"REDIS_PASSWORD": "hunter2"}, "REDIS_PASSWORD is set in the environment"),
    ],
)
def test_what_is_wrong_is_named(environ: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(environ)

    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)
