"""Hand one e-mail to the mail server, and tell a server that is unavailable from one that refuses this e-mail."""

import contextlib
import smtplib
import socket
import ssl
from email.message import EmailMessage

from jelmon.errors import ConfigError, JelmonError, SourceError
from jelmon_responder.mail.settings import MailSettings

TIMEOUT_SECONDS = 20.0
"""Of each step. A server that answers a byte at a time is stopped by `Delivery.abort`."""
MAX_REASON = 500
_OF_THE_SERVER = frozenset({421, 454, 530, 534, 535, 538})
"""Replies about the session or the login, whatever the command: they would meet every e-mail (RFC 5321, RFC 4954)."""


class MailRefusedError(JelmonError):
    """The mail server refuses this e-mail; ``permanent`` if it will always do so (a 5xx reply)."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class Delivery:
    """One attempt to send one e-mail, in a thread."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self._connection: smtplib.SMTP | None = None

    def send(self, message: EmailMessage) -> list[str]:
        """Send the e-mail; return the recipients that the server refused, if it accepted others.

        Raises:
            SourceError: the server is unavailable, or refuses everything.
            MailRefusedError: it refuses this e-mail.
        """
        try:
            connection = self._connect()
        except (smtplib.SMTPException, OSError, ConfigError) as error:
            raise self._unavailable(error) from error
        try:
            return sorted(connection.send_message(message))
        except smtplib.SMTPRecipientsRefused as error:
            replies = list(error.recipients.values())
            raise self._refused(error, [code for code, _ in replies], _text(replies[0][1])) from error
        except smtplib.SMTPResponseException as error:
            raise self._refused(error, [error.smtp_code], _text(error.smtp_error)) from error
        except (smtplib.SMTPException, OSError) as error:  # it hung up, perhaps because of what is in this e-mail
            raise MailRefusedError(str(error)[:MAX_REASON] or type(error).__name__, permanent=False) from error
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                connection.quit()
            connection.close()

    def abort(self) -> None:
        """End the attempt from another thread: its next read fails."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> smtplib.SMTP:
        settings, context = self._settings, ssl.create_default_context()
        host, _, port = settings.server.rpartition(":")
        connection = (
            smtplib.SMTP_SSL(timeout=TIMEOUT_SECONDS, context=context)
            if settings.security == "tls"
            else smtplib.SMTP(timeout=TIMEOUT_SECONDS)
        )
        self._connection = connection
        connection._host = host  # type: ignore[attr-defined] # the name that TLS verifies; only the constructor sets it
        try:
            code, reply = connection.connect(host, int(port))
            if code != 220:
                raise smtplib.SMTPConnectError(code, reply)
            if settings.security == "starttls":
                connection.starttls(context=context)
            if settings.user:
                connection.login(settings.user, settings.password() if settings.password else "")
        except BaseException:
            connection.close()
            raise
        return connection

    def _refused(self, error: Exception, codes: list[int], text: str) -> JelmonError:
        if not _OF_THE_SERVER.isdisjoint(codes):
            return self._unavailable(error)
        return MailRefusedError(f"{codes[0]} {text}"[:MAX_REASON], permanent=all(code >= 500 for code in codes))

    def _unavailable(self, error: Exception) -> SourceError:
        return SourceError(
            f"cannot send e-mail through {self._settings.server}: {str(error) or type(error).__name__}"[:MAX_REASON],
            hint="check --email.server, --email.security, --email.user and RESPONDER_SMTP_PASSWORD_FILE",
        )


def _text(reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return "".join(character if character.isprintable() else " " for character in text)
