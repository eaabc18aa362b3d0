"""Mail through a real SMTP server on loopback."""

import asyncio
import contextlib
import gc
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from jelmon.config.settings import secret_of
from jelmon.errors import ConfigError
from jelmon_responder.app import Responder
from jelmon_responder.mail.settings import MailSettings
from jelmon_responder.settings import ResponderSettings

Start = Callable[[ResponderSettings], Awaitable[Responder]]
Wire = Callable[..., dict[str, Any]]
Payload = Callable[..., bytes]

# aiosmtpd leaves the transports open of clients that are connected when it stops
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Postbox:
    """Stores mail; refuses all of it while ``closed``, and mail that contains a key of ``replies`` with its reply."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.closed = False
        self.replies: dict[str, str] = {}
        self.attempts: list[str] = []
        self.receiving = False
        self.open_again = threading.Event()
        self.open_again.set()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.receiving = True
        while not self.open_again.is_set():
            await asyncio.sleep(0.01)
        if self.closed:
            return "451 try again later"
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.attempts.append(str(message["Subject"]))
        for text, reply in self.replies.items():
            if text in message.get_content():
                if reply == "hang up":
                    assert isinstance(server.transport, asyncio.WriteTransport)
                    server.transport.abort()
                return reply
        self.mails.append(message)
        return "250 kept"


class _Controller(Controller):
    """A server on any free port."""

    def _trigger_server(self) -> None:  # aiosmtpd would connect to port 0 to see whether it listens
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def smtp(postbox: Postbox) -> Iterator[str]:
    """A mail server without encryption; ``host:port``."""
    controller = _Controller(postbox, hostname="127.0.0.1", port=0)
    controller.start()
    yield f"127.0.0.1:{controller.port}"
    controller.stop()


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what the mail server leaves behind in the test that used it."""
    yield
    gc.collect()


def settings(server: str, **more: Any) -> MailSettings:
    given: dict[str, Any] = {"security": "none", "sender": "jelmon@example.org", "recipients": ("team@example.org",)}
    return MailSettings(server=server, **given | more)


async def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.02)


async def shown(http: aiohttp.ClientSession, responder: Responder, line: str) -> None:
    """Wait until /metrics has the line."""
    deadline = time.monotonic() + 20
    while True:
        async with http.get(f"{responder.server.url}/metrics") as response:
            if line in (await response.text()).splitlines():
                return
        assert time.monotonic() < deadline, f"{line} was not shown"
        await asyncio.sleep(0.02)


async def post(http: aiohttp.ClientSession, responder: Responder, call: bytes) -> None:
    async with http.post(f"{responder.server.url}/api/v1/alerts/webhook", data=call) as response:
        assert response.status == 200


async def test_an_alert_is_mailed_when_firing_and_when_resolved(
    history_url: str,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    smtp: str,
    postbox: Postbox,
) -> None:
    """One mail for each change, none for repeats or for other severities."""
    responder = await start(ResponderSettings(history_url=history_url, mail=settings(smtp)))
    await post(http, responder, payload(wire(), wire(fingerprint="w", labels={"alertname": "W", "severity": "none"})))
    await until(lambda: len(postbox.mails) == 1)
    await post(http, responder, payload(wire()))
    await post(http, responder, payload(wire(status="resolved")))
    await until(lambda: len(postbox.mails) == 2)

    assert [(mail["Subject"], mail["To"], mail["From"]) for mail in postbox.mails] == [
        ("[FIRING] PipelineStalled in review / build", "team@example.org", "jelmon@example.org"),
        ("[RESOLVED] PipelineStalled in review / build", "team@example.org", "jelmon@example.org"),
    ]
    assert "no activity for 10 minutes" in postbox.mails[0].get_content()
    assert "2026-01-31 12:10:00 UTC (resolved)" in postbox.mails[1].get_content()
    await shown(http, responder, 'jelmore_notifications_total{channel="email",outcome="sent"} 2.0')


async def test_beyond_the_budget_there_is_one_digest(
    history_url: str,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    smtp: str,
    postbox: Postbox,
) -> None:
    """A storm of warnings is one mail, a critical alert bypasses it, and a metric counts what was held back."""
    responder = await start(ResponderSettings(history_url=history_url, mail=settings(smtp, max_per_hour=2)))
    labels = {"alertname": "Slow", "severity": "warning"}
    storm = [wire(fingerprint=f"f{number}", labels=labels | {"pipeline": f"p{number}"}) for number in range(30)]
    await post(http, responder, payload(*storm))
    await until(lambda: len(postbox.mails) == 1)
    await post(http, responder, payload(wire(fingerprint="c")))
    await until(lambda: len(postbox.mails) == 2)
    await post(http, responder, payload(wire(fingerprint="late", labels=labels)))

    assert postbox.mails[0]["Subject"] == "30 alert notifications, held back by the limit of 2 per hour"
    assert all(f"[FIRING] Slow in p{number}" in postbox.mails[0].get_content() for number in range(30))
    assert postbox.mails[1]["Subject"].startswith("[FIRING] PipelineStalled")

    await shown(http, responder, 'jelmore_notifications_suppressed_total{channel="email"} 1.0')
    assert len(postbox.mails) == 2


async def test_rejected_mail_waits(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    smtp: str,
    postbox: Postbox,
) -> None:
    """The webhook is accepted; after a restart the mail is sent."""
    postbox.closed = True
    given = ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", mail=settings(smtp))
    first = await start(given)
    await post(http, first, payload(wire()))

    await shown(http, first, 'jelmore_notifications_total{channel="email",outcome="failed"} 1.0')
    async with http.get(f"{first.server.url}/health") as response:
        assert (response.status, (await response.json())["dependencies"]["email"]["status"]) == (200, "failed")
    await first.stop()
    postbox.closed = False
    await start(given)

    await until(lambda: len(postbox.mails) == 1)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        pytest.param("554 5.7.1 looks like spam", "refused", id="refused for good"),
        pytest.param("451 4.7.1 try again later", "failed", id="refused for now"),
        pytest.param("hang up", "failed", id="the server hangs up"),
    ],
)
async def test_a_refused_mail_holds_up_no_other(
    history_url: str,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    smtp: str,
    postbox: Postbox,
    reply: str,
    outcome: str,
) -> None:
    """Later mail is sent at once; permanently refused mail is listed, and can be sent again."""
    postbox.replies["poison"] = reply
    responder = await start(ResponderSettings(history_url=history_url, mail=settings(smtp)))
    poison = wire(fingerprint="p", labels={"alertname": "P", "severity": "critical"}, annotations={"summary": "poison"})
    await post(http, responder, payload(poison))
    await until(lambda: len(postbox.attempts) == 1)
    await post(http, responder, payload(wire(fingerprint="x"), wire(fingerprint="y")))
    await until(lambda: len(postbox.mails) == 2)

    await shown(http, responder, f'jelmore_notifications_total{{channel="email",outcome="{outcome}"}} 1.0')
    assert postbox.attempts.count("[FIRING] P") == 1
    url = f"{responder.server.url}/api/v1/email/refused"
    async with http.get(url) as response:
        refused = (await response.json())["refused"]
    if outcome == "failed":
        assert refused == []
        return
    (email,) = refused
    assert email["reason"] == reply
    assert [entry["subject"] for entry in email["notifications"]] == ["[FIRING] P"]
    async with http.post(f"{url}/retry", headers={"Origin": "https://elsewhere.example"}) as response:
        assert response.status == 403
    postbox.replies.clear()
    async with http.post(f"{url}/retry") as response:
        assert (response.status, await response.json()) == (200, {"waiting_again": 1})
    await until(lambda: len(postbox.mails) == 3)
    async with http.get(url) as response:
        assert (await response.json())["refused"] == []


async def test_recipients_that_do_not_exist(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    smtp: str,
    postbox: Postbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mail that no recipient may get is set aside, with the reply of the server."""

    async def refuse(*_: Any) -> str:
        return "550 5.1.1 no such user"

    monkeypatch.setattr(postbox, "handle_RCPT", refuse, raising=False)
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", mail=settings(smtp)))
    await post(http, responder, payload(wire()))

    await shown(http, responder, 'jelmore_notifications_total{channel="email",outcome="refused"} 1.0')
    async with http.get(f"{responder.server.url}/api/v1/email/refused") as response:
        assert [email["reason"] for email in (await response.json())["refused"]] == ["550 5.1.1 no such user"]


@pytest.mark.parametrize("reply", ["530 5.7.0 authentication required", "421 4.3.2 closing"])
async def test_a_reply_about_the_session_sets_nothing_aside(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    smtp: str,
    postbox: Postbox,
    monkeypatch: pytest.MonkeyPatch,
    reply: str,
) -> None:
    """It would meet every mail, so the mail waits until the settings or the server are right."""

    async def refuse(*_: Any) -> str:
        return reply

    monkeypatch.setattr(postbox, "handle_MAIL", refuse, raising=False)
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", mail=settings(smtp)))
    await post(http, responder, payload(wire()))

    await shown(http, responder, 'jelmore_notifications_total{channel="email",outcome="failed"} 1.0')
    assert _letters(tmp_path / "h.db") == ["failed"]


async def test_a_server_that_answers_a_byte_at_a_time(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No step times out, so the whole attempt has a deadline; stopping does not wait for it either."""
    monkeypatch.setattr("jelmon_responder.mail.mailer.SEND_SECONDS", 2.0)
    monkeypatch.setattr("jelmon_responder.mail.mailer.STOP_SECONDS", 1.0)

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.2)

    tarpit = await asyncio.start_server(trickle, "127.0.0.1", 0)
    mail = settings(f"127.0.0.1:{tarpit.sockets[0].getsockname()[1]}")
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", mail=mail))
    await post(http, responder, payload(wire()))
    await shown(http, responder, 'jelmore_notifications_total{channel="email",outcome="failed"} 1.0')
    async with asyncio.timeout(30):
        await responder.stop()
    tarpit.close()


async def test_stopping_waits_for_the_mail_being_sent(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    smtp: str,
    postbox: Postbox,
) -> None:
    """Accepted mail is stored as sent, so that a restart does not send it again."""
    postbox.open_again.clear()
    given = ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", mail=settings(smtp))
    responder = await start(given)
    await post(http, responder, payload(wire()))
    await until(lambda: postbox.receiving)
    stopping = asyncio.create_task(responder.stop())
    await asyncio.sleep(0)
    postbox.open_again.set()
    await stopping

    assert (_letters(tmp_path / "h.db"), len(postbox.mails)) == (["sent"], 1)


def _letters(path: Path) -> list[str | None]:
    with contextlib.closing(sqlite3.connect(path)) as file:
        return [row[0] for row in file.execute("SELECT outcome FROM letter")]


async def test_text_of_alerts_breaks_no_mail(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    smtp: str,
    postbox: Postbox,
) -> None:
    """A name with line breaks adds no header, and any text arrives."""
    evil = "x\r\nBcc: everybody@example.org\r\n\r\n.\r\nQUIT\u2028\U0001f9ef" + "y" * 2000
    responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", mail=settings(smtp)))
    alert = wire(labels={"alertname": evil, "severity": "critical"}, annotations={"summary": evil})
    await post(http, responder, payload(alert))
    await until(lambda: len(postbox.mails) == 1)

    (mail,) = postbox.mails
    assert (mail["Bcc"], mail["Subject"][:20], len(mail["Subject"]) <= 200) == (None, "[FIRING] x  Bcc: eve", True)
    assert "\nQUIT" in mail.get_content()


async def test_an_encrypted_connection_with_login(
    tmp_path: Path,
    start: Start,
    http: aiohttp.ClientSession,
    payload: Payload,
    wire: Wire,
    postbox: Postbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """STARTTLS, a certificate that is checked, and a password, which is read again for each e-mail."""
    valid, secret = "secret", tmp_path / "password"
    secret.write_text("secret\n")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"jelmon", valid.encode()))

    controller = _Controller(
        postbox,
        hostname="127.0.0.1",
        port=0,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )
    controller.start()
    try:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        password = secret_of({"SMTP_FILE": str(secret)}, "SMTP")
        mail = settings(f"127.0.0.1:{controller.port}", security="starttls", user="jelmon", password=password)
        responder = await start(ResponderSettings(history_url=f"sqlite://{tmp_path}/h.db", mail=mail))
        await post(http, responder, payload(wire()))
        await until(lambda: len(postbox.mails) == 1)
        valid = "renewed"
        secret.write_text("renewed\n")
        await post(http, responder, payload(wire(fingerprint="another")))
        await until(lambda: len(postbox.mails) == 2)
    finally:
        controller.stop()

    assert "secret" not in repr(mail)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"server": "smtp.example.org"}, "is not HOST:PORT"),
        ({"recipients": ()}, "--email.to is empty"),
        ({"recipients": ("team",)}, "is not an e-mail address"),
        ({"sender": "a@b\nBcc: c@d"}, "is not an e-mail address"),
        ({"max_per_hour": 0}, "max-per-hour"),
        ({"severities": ("dire",)}, "severities"),
        ({"user": "x"}, "plain text"),
    ],
)
def test_wrong_settings(given: dict[str, Any], message: str) -> None:
    """Each mistake names its flag."""
    with pytest.raises(ConfigError, match=message):
        settings(**{"server": "smtp.example.org:25"} | given)
