"""The web-config file, in the format of Prometheus exporters: TLS, users, headers, rate limit."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import yaml

from jelmon.config.settings import parse_duration
from jelmon.config.strict_yaml import Fields, fields_of, read
from jelmon.errors import ConfigError, DefinitionError, Problem
from jelmon.service.web.file_state import State, state_of
from jelmon.service.web.tls import Tls, read_tls

_HEADERS: dict[str, tuple[str, ...]] = {  # configurable headers, and their values where the set is closed
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_SLOW_COST = 15  # a login then takes seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """``burst`` requests at once, then one for each ``interval`` (seconds)."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The content of a web-config file. The default has no TLS, users, extra headers or rate limit."""

    path: Path | None = None
    tls: Tls | None = None
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None
    warnings: tuple[str, ...] = ()
    files: Mapping[Path, State] = field(default_factory=dict)
    """State of the file and of the files it names, just before they were read."""

    @property
    def authenticates(self) -> bool:
        """Whether every caller has to prove who it is: with a password, or with a certificate that is verified."""
        return bool(self.users) or (self.tls is not None and self.tls.context.verify_mode is ssl.CERT_REQUIRED)

    @classmethod
    def load(cls, path: Path) -> "WebConfig":
        """Read a web-config file; paths in it are relative to it.

        Raises:
            DefinitionError: unreadable, not YAML, an unknown field, or a certificate that does not load. It has all
                problems, and quotes no line of the file, which may contain secrets.
        """
        problems: list[Problem] = []
        files = {path: state_of(path)}
        top = read(Path(), str(path), problems, may_be_empty=True, secret=True)
        if top is None:
            raise DefinitionError(problems)
        warnings: list[str] = []
        tls_section = _section(top, "tls_server_config")
        tls = None
        if tls_section is not None and tls_section.nodes:
            tls = read_tls(tls_section, path.parent)
            if tls is not None:
                warnings.extend(tls.warnings)
                files.update(tls.files)
        headers, users, rate_limit = _read_headers(top, warnings), _read_users(top, warnings), _read_rate_limit(top)
        top.done("a web config")
        if problems:
            raise DefinitionError(problems)
        if users and tls is None:
            warnings.append("basic_auth_users without TLS: passwords are sent in plain text")
        return cls(
            path=path,
            tls=tls,
            users=users,
            headers=headers,
            rate_limit=rate_limit,
            warnings=tuple(warnings),
            files=files,
        )


def _section(fields: Fields, name: str) -> Fields | None:
    """Return a mapping; None if it is absent or empty, as when its content is commented out."""
    node = fields.nodes.get(name)
    fields.taken.add(name)
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return None
    return fields_of(fields.place.source, node, name)


def _read_headers(top: Fields, warnings: list[str]) -> dict[str, str]:
    section = _section(top, "http_server_config")
    if section is None:
        return {}
    if section.flag("http2", False):
        warnings.append("http2: true is accepted, but only HTTP/1.1 is served")
    headers = {}
    written = _section(section, "headers")
    if written is not None:
        for name in written.nodes:
            value = _scalar(written, name)
            if name not in _HEADERS:
                written.keys[name].refuse(
                    f"the header {name!r} cannot be configured", hint=f"configurable headers: {', '.join(_HEADERS)}"
                )
            elif value and _HEADERS[name] and value not in _HEADERS[name]:
                written.at(name).refuse(
                    f"{name}: {value!r} is not allowed", hint=f"write {' or '.join(_HEADERS[name])}"
                )
            elif any(character in value for character in "\r\n"):
                written.at(name).refuse(f"{name}: a header value must be one line")
            elif value:
                headers[name] = value
    section.done("http_server_config")
    return headers


def _read_users(top: Fields, warnings: list[str]) -> dict[str, bytes]:
    section = _section(top, "basic_auth_users")
    users = {}
    for name in section.nodes if section is not None else ():
        assert section is not None
        value = _scalar(section, name)
        if ":" in name or not name:
            section.keys[name].refuse("a user name must not be empty or contain a colon")
        elif not _is_usable(value):
            section.at(name).refuse(
                f"basic_auth_users: the password of {name!r} is not a bcrypt hash",
                hint="create one with: htpasswd -nBC 10 '' | tr -d ':\\n'",
            )
        else:
            users[name] = value.encode()
            if int(value.split("$")[2]) >= _SLOW_COST:
                warnings.append(f"basic_auth_users: the bcrypt cost of {name!r} makes each first login take seconds")
    return users


def _is_usable(stored: str) -> bool:
    """Return whether bcrypt can compare a password with the hash, tried at the lowest cost."""
    match = _BCRYPT.fullmatch(stored)
    if match is None:
        return False
    try:
        bcrypt.hashpw(b"", f"{stored[: match.start(1)]}04{stored[match.end(1) :]}".encode())
    except ValueError:
        return False
    return True


def _read_rate_limit(top: Fields) -> RateLimit | None:
    section = _section(top, "rate_limit")
    if section is None:
        return None
    text = section.text("interval", "0")
    burst = section.number("burst", 0.0)
    section.done("rate_limit")
    try:
        interval = 0.0 if text == "0" else parse_duration(text, name="interval")
    except ConfigError:
        section.at("interval").refuse(
            f"interval: {text!r} is not a duration", hint="for example 100ms, or 0 for no limit"
        )
        return None
    if interval == 0:
        return None
    if burst < 1 or burst != int(burst):
        section.at("burst").refuse(
            "burst must be a whole number of at least 1", hint="with less, no request would be answered"
        )
        return None
    return RateLimit(interval=interval, burst=int(burst))


def _scalar(fields: Fields, name: str) -> str:
    """Return the text of a scalar; empty, after recording a problem, for a list or mapping."""
    node = fields.nodes[name]
    fields.taken.add(name)
    if not isinstance(node, yaml.ScalarNode):
        fields.at(name).refuse(f"{name}: expected a string")
        return ""
    return "" if node.tag == "tag:yaml.org,2002:null" else str(node.value)
