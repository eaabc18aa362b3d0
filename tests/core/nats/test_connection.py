"""Connecting to NATS, and the streams, against real servers."""

import argparse
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig

from jelmon.config.urls import without_secret
from jelmon.demo.processes import Processes, free_port, listens
from jelmon.errors import ConfigError, SourceError
from jelmon.nats.connection import NatsSettings, add_nats_arguments, connect
from jelmon.nats.partitions import ensure_partitions
from jelmon.nats.streams import dead_letter_stream, ensure_stream, event_stream
from jelmon.nats.subjects import EVENT_SUBJECTS


@pytest.fixture
async def own(nats_url: str) -> AsyncIterator[Client]:
    """A connection to a server without our streams."""
    client = await connect(NatsSettings(url=nats_url), name="test")
    await _clean(client)
    yield client
    await _clean(client)
    await client.close()


async def _clean(client: Client) -> None:
    context = client.jetstream()
    for info in await context.streams_info():
        await context.purge_stream(str(info.config.name))  # a stream made anew may find what was left on disk
        await context.delete_stream(str(info.config.name))


@pytest.fixture
def closed_server(tmp_path: Path, tool: Callable[[str], Path]) -> Iterator[str]:
    """A server without JetStream that wants a password."""
    port = free_port()
    with Processes(tmp_path / "logs") as processes:
        command: list[str | Path] = [
            tool("nats-server"),
            "--addr",
            "127.0.0.1",
            "--port",
            str(port),
            "--user",
            "me",
            "--pass",
            "secret",
        ]
        child = processes.start("nats-server", command)
        processes.wait_until("nats-server", lambda: listens(port), seconds=30, child=child)
        yield f"nats://127.0.0.1:{port}"


async def test_streams_are_made_once_and_as_documented(own: Client) -> None:
    """The stream keeps seven days in files and forgets message ids after two minutes."""
    context = own.jetstream()
    created = [
        await ensure_stream(context),
        await ensure_stream(context),
        await ensure_stream(context, dead_letter_stream()),
    ]
    config = (await context.stream_info("JELMORE")).config

    assert created == [True, False, True]
    assert (config.subjects, config.max_age, config.duplicate_window) == (list(EVENT_SUBJECTS), 604800.0, 120.0)
    assert config.storage == "file"


@pytest.mark.parametrize("subject", ["jelmore.events.card", "jelmore.events.card.a.b", "jelmore.events.card.16.a"])
async def test_an_event_that_nobody_would_count_is_not_accepted(own: Client, subject: str) -> None:
    """A key with a dot belongs to no partition: its producer has to hear of it."""
    context = own.jetstream()
    await ensure_stream(context)
    await ensure_partitions(own)
    await context.publish("jelmore.events.card.a", b"counted")
    with pytest.raises(nats.js.errors.NoStreamResponseError):
        await context.publish(subject, b"never counted")

    assert (await context.stream_info("JELMORE")).state.messages == 1


async def test_a_stream_of_the_operator_is_left_alone(own: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Limits that somebody chose are not ours to change; that it takes what nobody counts is told."""
    context = own.jetstream()
    await context.add_stream(StreamConfig(name="JELMORE", subjects=["jelmore.events.>"], max_age=60.0))
    created = await ensure_stream(context)

    assert not created
    assert (await context.stream_info("JELMORE")).config.max_age == 60.0
    assert "stream has subjects that nobody reads: messages on them are stored but not counted" in caplog.text


async def test_a_stream_that_does_not_take_events_is_an_error(own: Client) -> None:
    """The same name with other subjects would swallow nothing and help nobody."""
    context = own.jetstream()
    await context.add_stream(StreamConfig(name="JELMORE", subjects=["other.>"]))
    with pytest.raises(SourceError, match=r"exists but has no subject jelmore\.events\.\*\.\*"):
        await ensure_stream(context)


async def test_another_stream_on_our_subjects_is_an_error(own: Client) -> None:
    """JetStream allows no two streams on one subject; the hint says what to do."""
    context = own.jetstream()
    await context.add_stream(StreamConfig(name="OTHER", subjects=["jelmore.>"]))
    with pytest.raises(SourceError) as caught:
        await ensure_stream(context)

    assert "overlap" in caught.value.message
    assert "another stream has these subjects already" in caught.value.hint


async def test_a_wrong_password_is_told_at_once_and_not_shown(closed_server: str, tmp_path: Path) -> None:
    """A refusal is not a server that is away: no waiting, and another hint."""
    with pytest.raises(SourceError, match="refuses the connection") as caught:
        await connect(NatsSettings(url=closed_server, user="me", password="wrong"), name="test", patience=30)

    assert "NATS_PASSWORD_FILE" in caught.value.hint
    assert "wrong" not in str(caught.value)


async def test_a_password_from_a_file_opens_the_door(closed_server: str, tmp_path: Path) -> None:
    """And a server without JetStream says so when a stream is asked for."""
    secret = tmp_path / "password"
    secret.write_text("secret\n")
    settings = NatsSettings.from_environ(
        {"NATS_URL": closed_server, "NATS_USER": "me", "NATS_PASSWORD_FILE": str(secret)}
    )
    client = await connect(settings, name="test")
    try:
        with pytest.raises(SourceError, match="JetStream is disabled"):
            await ensure_stream(client.jetstream(timeout=2))
    finally:
        await client.close()

    assert "secret" not in repr(settings)


async def test_tls_is_not_silently_given_up(nats_url: str) -> None:
    """nats-py would talk plain text to a server that offers no TLS, whatever the address says."""
    with pytest.raises(SourceError, match="does not offer TLS"):
        await connect(NatsSettings(url=nats_url.replace("nats://", "tls://")), name="test")


async def test_one_of_several_servers_is_enough(nats_url: str) -> None:
    """The first that answers is taken."""
    client = await connect(NatsSettings(url=f"nats://127.0.0.1:{free_port()},{nats_url}"), name="test")
    is_connected = client.is_connected
    await client.close()

    assert is_connected


async def test_a_name_that_does_not_resolve_is_told() -> None:
    """The cause is in the message."""
    with pytest.raises(SourceError, match=r"NATS at nats://no\.such\.host\.invalid:4222 does not answer: "):
        await connect(NatsSettings(url="nats://no.such.host.invalid:4222"), name="test", patience=1)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param(
            {"NATS_URL": "localhost"}, "NATS_URL: 'localhost' is not the URL of a NATS server", id="no scheme"
        ),
        pytest.param({"NATS_URL": "ftp://h"}, "is not the URL of a NATS server", id="a scheme that is not NATS'"),
        pytest.param({"NATS_URL": "nats://h:port"}, "'nats://h:port' is not", id="a port that is no number"),
        pytest.param({"NATS_URL": "nats://[::1"}, "'nats://[::1' is not", id="half a bracket"),
        pytest.param({"NATS_URL": "nats://me:secret@"}, "'nats://' is not", id="no host, and the secret is not shown"),
        pytest.param({"NATS_PASSWORD": "x"}, "set in the environment", id="a secret in the environment"),
        pytest.param({"NATS_CREDENTIALS_FILE": "/none"}, "no such file: /none", id="credentials that are not there"),
        pytest.param({"NATS_CERTIFICATE_FILE": __file__}, "must be set together", id="a certificate without its key"),
    ],
)
def test_wrong_settings_name_the_variable(environ: dict[str, str], message: str) -> None:
    """Each mistake has its message, before anything connects."""
    with pytest.raises(ConfigError) as caught:
        NatsSettings.from_environ(environ)

    assert message in str(caught.value)


def test_a_ca_file_that_is_no_certificate_is_told() -> None:
    """Before any connection."""
    with pytest.raises(ConfigError, match="NATS_CA_FILE"):
        NatsSettings(ca_file=__file__)


JWT = "-----BEGIN NATS USER JWT-----\naaa.bbb.ccc\n------END NATS USER JWT------\n\n"
SEED = "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n"
USER = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"  # the example of NATS' own documents


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "no user JWT in it", id="an empty file"),
        pytest.param(SEED % USER, "no user JWT in it", id="a key alone"),
        pytest.param(JWT, "no user seed in it", id="a JWT alone"),
        pytest.param(JWT + SEED % USER[:-1], "cannot be used: ", id="half a seed"),
        pytest.param(JWT + SEED % ("SAA" + USER[3:]), "cannot be used: ", id="the seed of an account"),
        pytest.param("\xff" * 10, "cannot be used: ", id="no text"),
    ],
)
def test_credentials_are_looked_into_before_any_connection(tmp_path: Path, content: str, message: str) -> None:
    """And not at each of the attempts to connect, which go on for ever."""
    path = tmp_path / "user.creds"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        NatsSettings.from_environ({"NATS_CREDENTIALS_FILE": str(path)})

    assert f"NATS_CREDENTIALS_FILE: {path} cannot be used: " in caught.value.message
    assert message in caught.value.message
    assert "nsc generate creds" in caught.value.hint


def test_credentials_as_nsc_writes_them_are_taken(tmp_path: Path) -> None:
    """With the lines for people around them."""
    path = tmp_path / "user.creds"
    warning = (
        "************************* IMPORTANT *************************\nNKEY Seed printed below can be used to sign.\n"
    )
    path.write_text(f"{JWT}{warning}\n{SEED % USER}\n***\n", encoding="ascii")

    assert NatsSettings(credentials_file=str(path)).credentials_file == str(path)


def test_the_flag_comes_before_the_environment() -> None:
    """--nats.url wins over NATS_URL, which wins over the default."""
    parser = argparse.ArgumentParser()
    add_nats_arguments(parser)
    flag = parser.parse_args(["--nats.url", "nats://flag:1"]).nats_url
    nothing = parser.parse_args([]).nats_url
    environ = {"NATS_URL": "nats://variable:1"}

    assert NatsSettings.from_environ(environ, url=flag).servers == ["nats://flag:1"]
    assert NatsSettings.from_environ(environ, url=nothing).servers == ["nats://variable:1"]
    assert NatsSettings.from_environ({}, url=nothing).servers == ["nats://127.0.0.1:4222"]


def test_replicas_can_be_asked_for() -> None:
    """Both streams take a number of replicas."""
    assert [event_stream(replicas=3).num_replicas, dead_letter_stream(replicas=3).num_replicas] == [3, 3]


def test_secrets_are_cut_from_addresses() -> None:
    """With and without a scheme."""
    shown = [without_secret(text) for text in ("nats://a:b@h:1", "a:b@h:1", "nats://h:1")]

    assert shown == ["nats://h:1", "h:1", "nats://h:1"]


async def test_a_connection_that_breaks_while_it_closes_is_closed_all_the_same(nats_url: str) -> None:
    """nats-py would leave subscriptions and socket behind, and log an error that nobody awaits."""
    client = await connect(NatsSettings(url=nats_url), name="test")

    async def arrived(_: Msg) -> None:
        """Nothing comes."""

    async def broken() -> None:
        raise ConnectionResetError("Connection lost")

    subscription = await client.subscribe("test.closing", cb=arrived)
    await client.flush()
    transport = client._transport
    assert transport is not None
    transport.drain = broken  # type: ignore[method-assign]
    client._pending.append(b"PING\r\n")
    client._pending_data_size = 6
    await client.close()

    assert client.is_closed
    assert subscription._wait_for_msgs_task is not None
    assert subscription._wait_for_msgs_task.cancelling() or subscription._wait_for_msgs_task.done()
    assert transport._io_writer.is_closing()
