"""An HTTP endpoint that a command talks to: its URL, and how to log in and whom to trust there."""

import argparse
import base64
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from jelmon.config.urls import has_password, is_server_url
from jelmon.errors import ConfigError

TIMEOUT_SECONDS = 60
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Endpoint:
    """A URL with credentials and TLS from files. Secrets are in no message."""

    def __init__(self, url: str, *, headers: Mapping[str, str], tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._headers = headers
        handlers = [urllib.request.HTTPSHandler(context=tls)] if tls is not None else []
        # a redirect would take the credentials to another server
        self._opener = urllib.request.build_opener(_NoRedirect, *handlers)

    @classmethod
    def read(cls, args: argparse.Namespace, side: str, url: str) -> Self:
        """Return the endpoint of the flags with the prefix ``--<side>.``.

        Raises:
            ConfigError: a flag or a file is wrong.
        """
        if not is_server_url(url, ("http", "https")) or has_password(url):
            raise ConfigError(
                f"--{side}: not the URL of a server",
                hint=f"write http://host:port/path; a user and password go into --{side}.username and "
                f"--{side}.password-file",
            )
        given = {name: getattr(args, f"{side}_{name}") for name in _FLAGS}
        headers = dict(_header(side, text) for text in getattr(args, f"{side}_header") or ())
        return cls(url, headers=headers | _credentials(side, given), tls=_trust(side, given))

    def send(self, body: bytes | None, headers: Mapping[str, str], *, url: str | None = None) -> bytes:
        """Return the answer to a POST, or to a GET if there is no body; ``url`` names another page of the server.

        Raises:
            urllib.error.HTTPError: the status is not 2xx.
            OSError: the server does not respond.
        """
        request = urllib.request.Request(url or self.url, data=body, headers={**self._headers, **headers})
        with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            content: bytes = response.read()
            return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_FLAGS = {
    "username": ("NAME", "user for basic auth"),
    "password_file": ("FILE", "file with the password of the user"),
    "token_file": ("FILE", "file with a bearer token"),
    "ca_file": ("FILE", "certificates of the authorities to trust (default: those of the system)"),
    "cert_file": ("FILE", "client certificate"),
    "key_file": ("FILE", "key of the client certificate"),
}


def add_endpoint_arguments(parser: argparse.ArgumentParser, side: str, title: str) -> None:
    """Add the flags of one endpoint."""
    group = parser.add_argument_group(title)
    group.add_argument(
        f"--{side}.header",
        dest=f"{side}_header",
        action="append",
        metavar="NAME=VALUE",
        help="header to send, such as X-Scope-OrgID=a for a tenant; repeat for several",
    )
    for name, (metavar, help_text) in _FLAGS.items():
        group.add_argument(f"--{side}.{name.replace('_', '-')}", dest=f"{side}_{name}", metavar=metavar, help=help_text)


def _header(side: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not _HEADER_NAME.fullmatch(name) or not value.isprintable():
        raise ConfigError(f"--{side}.header: {text!r} is not NAME=VALUE")
    return name, value


def _credentials(side: str, given: Mapping[str, str | None]) -> dict[str, str]:
    if (given["username"] is None) != (given["password_file"] is None):
        raise ConfigError(f"--{side}.username and --{side}.password-file belong together")
    if given["password_file"] is not None:
        if given["token_file"] is not None:
            raise ConfigError(f"--{side}: either a user or a token")
        pair = f"{given['username']}:{_secret(side, 'password-file', given['password_file'])}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if given["token_file"] is not None:
        return {"Authorization": f"Bearer {_secret(side, 'token-file', given['token_file'])}"}
    return {}


def _secret(side: str, flag: str, path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--{side}.{flag}: cannot read {path}: {error}") from error
    if not secret or any(character in secret for character in "\r\n"):
        raise ConfigError(f"--{side}.{flag}: {path} must hold one line")
    return secret


def _trust(side: str, given: Mapping[str, str | None]) -> ssl.SSLContext | None:
    if given["key_file"] is not None and given["cert_file"] is None:
        raise ConfigError(f"--{side}.key-file needs --{side}.cert-file")
    if given["ca_file"] is None and given["cert_file"] is None:
        return None
    try:
        context = ssl.create_default_context(cafile=given["ca_file"])
        if given["cert_file"] is not None:
            context.load_cert_chain(given["cert_file"], given["key_file"])
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"--{side}: cannot use the certificates: {error}") from error
    return context
