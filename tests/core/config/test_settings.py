"""Durations, addresses and secrets are read as written, or refused with the name of the setting."""

from pathlib import Path

import pytest

from jelmon.config.settings import ListenAddress, parse_duration, read_secret
from jelmon.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("1.5h", 5400),
        ("0s", 0),
    ],
)
def test_durations_are_those_of_prometheus(text: str, seconds: float) -> None:
    assert parse_duration(text, name="x") == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "30 s", "-5s", "5x", "5s!", "1h 30m", "٣s", "5S"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_duration(text, name="METRICS_COLLECTION_INTERVAL")

    assert caught.value.message == f"METRICS_COLLECTION_INTERVAL: {text!r} is not a duration"
    assert "30s" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("9746", "127.0.0.1", 9746, "127.0.0.1:9746"),
        (":9746", "", 9746, ":9746"),
        ("localhost:0", "localhost", 0, "localhost:0"),
        ("[::1]:9746", "::1", 9746, "[::1]:9746"),
    ],
    ids=["a port is loopback", "a colon is everywhere", "host and port", "a long address"],
)
def test_addresses(text: str, host: str, port: int, shown: str) -> None:
    address = ListenAddress.parse(text)

    assert (address, str(address)) == (ListenAddress(host, port), shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "localhost:-1",
        "::1",
        "::1:80",
        "[::1",
        "[]:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--web.listen-address: .* is not an address") as caught:
        ListenAddress.parse(text)

    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "loopback", "everywhere"),
    [
        ("1", True, False),
        ("[::1]:1", True, False),
        ("localhost:1", True, False),
        ("127.9.9.9:1", True, False),
        (":1", False, True),
        ("[::]:1", False, True),
        ("0.0.0.0:1", False, False),
        ("host.example:1", False, False),
    ],
)
def test_who_can_reach_an_address(text: str, loopback: bool, everywhere: bool) -> None:
    address = ListenAddress.parse(text)

    assert (address.is_loopback, address.is_any) == (loopback, everywhere)


def test_a_secret_comes_from_its_file_without_the_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" a b \r\n", encoding="utf-8")

    assert read_secret({"REDIS_PASSWORD_FILE": str(tmp_path / "secret")}, "REDIS_PASSWORD") == " a b "
    assert read_secret({}, "REDIS_PASSWORD") is None
    assert read_secret({"REDIS_PASSWORD_FILE": ""}, "REDIS_PASSWORD") is None


def test_a_secret_in_the_environment_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        read_secret({"REDIS_PASSWORD": "hunter2"}, "REDIS_PASSWORD")

    assert str(caught.value) == (
        "REDIS_PASSWORD is set in the environment\n"
        "  hint: put the secret in a file and set REDIS_PASSWORD_FILE to its path"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read {}: No such file or directory"), (b"\xff", "{} is not text")],
    ids=["no such file", "no text"],
)
def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_secret({"REDIS_PASSWORD_FILE": str(path)}, "REDIS_PASSWORD")

    assert caught.value.message == f"REDIS_PASSWORD_FILE: {message.format(path)}"
    assert caught.value.hint
