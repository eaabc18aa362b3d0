"""Targets of probes, read from a YAML file. Every mistake is reported with its line before anything runs.

Targets come from a file only: an address in a request would let every client of `/metrics` explore the network.
"""

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from jelmon.config.strict_yaml import Fields, Place, read
from jelmon.errors import DefinitionError, Problem

HTTP_SCHEMES = ("http", "https")
STREAM_SCHEMES = ("tcp", "tls")
DEFAULT_INTERVAL = 30.0
DEFAULT_TIMEOUT = 5.0
METHODS = ("GET", "HEAD", "OPTIONS")
_NAME_LENGTH = 128
_STATUS = re.compile(r"[1-5](\d\d|xx)")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = ("host", "content-length", "connection", "transfer-encoding")
_METADATA = ("fd00:ec2::254", "100.100.100.200")  # addresses of cloud metadata that are not link-local
_HINT_LINK_LOCAL = "cloud providers serve credentials there"


class SecretError(Exception):
    """A file with a secret cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One service to probe. ``expected``: statuses such as ``200`` or ``2xx``; times are in seconds."""

    name: str
    url: str
    interval: float = DEFAULT_INTERVAL
    timeout: float = DEFAULT_TIMEOUT
    method: str = "GET"
    expected: tuple[str, ...] = ("2xx",)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secret_headers: tuple[tuple[str, Path], ...] = ()
    ca_file: Path | None = None

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def port(self) -> int:
        return self.parts.port or {"http": 80, "https": 443}[self.parts.scheme]

    def all_headers(self) -> dict[str, str]:
        """Return the headers, with secrets as they are in their files now.

        Raises:
            SecretError: a file cannot be read.
        """
        headers = dict(self.headers)
        for name, path in self.secret_headers:
            try:
                value = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
                raise SecretError(f"header {name}: cannot read {path}: {reason}") from error
            if not value or "\n" in value or "\r" in value:
                raise SecretError(f"header {name}: {path} must hold one line")
            headers[name] = value
        return headers

    def expects(self, status: int) -> bool:
        """Return whether an answer with this status is a success."""
        return any(str(status) == wanted or f"{status // 100}xx" == wanted for wanted in self.expected)


def is_forbidden(address: str) -> bool:
    """Return whether probes may not reach an IP address: link-local, cloud metadata, multicast or unspecified."""
    parsed: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        parsed = mapped
    return parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or str(parsed) in _METADATA


def load_targets(path: Path) -> tuple[Target, ...]:
    """Read a file of targets; paths in it are relative to it.

    Raises:
        DefinitionError: with every mistake and its line.
    """
    problems: list[Problem] = []
    top = read(Path(), str(path), problems)
    targets: dict[str, Target] = {}
    if top is not None:
        entries = top.items("targets")
        if not entries and not problems:
            top.place.refuse("no targets", hint="targets: [{name: registry, url: 'https://registry.example/v2/'}]")
        for entry in entries:
            target = _target(entry, path.parent)
            if target.name in targets:
                entry.at("name").refuse(
                    f"target {target.name!r} occurs twice", hint="names are values of the label 'target'"
                )
            targets[target.name] = target
        top.done("a file of targets")
    if problems:
        raise DefinitionError(problems)
    return tuple(targets.values())


def _target(entry: Fields, folder: Path) -> Target:
    name = entry.text("name")
    if len(name) > _NAME_LENGTH:
        entry.at("name").refuse(f"a name has at most {_NAME_LENGTH} characters")
    url = entry.text("url")
    scheme = _check_url(url, entry.at("url"))
    before = len(entry.place.source.problems)
    interval = entry.duration("interval", DEFAULT_INTERVAL)
    timeout = entry.duration("timeout", min(DEFAULT_TIMEOUT, interval))
    if len(entry.place.source.problems) > before:
        pass  # invalid durations are reported already
    elif interval < 1:
        entry.at("interval").refuse("interval must be at least 1s")
    elif not 0 < timeout <= interval:
        entry.at("timeout").refuse(f"timeout must be more than 0 and at most the interval, {interval:g}s")
    headers = _headers(entry, "headers")
    secrets = tuple((header, folder / file) for header, file in _headers(entry, "secret_headers"))
    http_only = ("method", "expect_status", "headers", "secret_headers")
    ca_file = entry.text("ca_file", None)
    target = Target(
        name=name,
        url=url,
        interval=interval,
        timeout=timeout,
        method=entry.choice("method", METHODS, "GET"),
        expected=_expected(entry),
        headers=headers,
        secret_headers=secrets,
        ca_file=folder / ca_file if ca_file else None,
    )
    for field_name in http_only:
        if scheme in STREAM_SCHEMES and entry.has(field_name):
            entry.keys[field_name].refuse(f"{field_name} does not apply to {scheme}://")
    if scheme == "http" and secrets:
        entry.at("secret_headers").refuse("a secret must not be sent over http://", hint="write https://")
    _check_files(entry, target, scheme)
    entry.done("a target")
    return target


def _check_url(url: str, place: Place) -> str:
    """Return the scheme; report mistakes."""
    known = (*HTTP_SCHEMES, *STREAM_SCHEMES)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        place.refuse(f"url: {error}", hint="for example https://registry.example/v2/ or tcp://10.0.0.5:5432")
        return ""
    if parts.scheme not in known:
        place.refuse(f"url: must begin with one of {', '.join(f'{scheme}://' for scheme in known)}")
    elif not host:
        place.refuse("url: the host is missing", hint="for example https://registry.example/v2/")
    elif parts.scheme in STREAM_SCHEMES and (port is None or parts.path not in ("", "/") or parts.query):
        place.refuse(
            f"url: {parts.scheme}:// needs a host and a port, nothing else", hint=f"{parts.scheme}://{host}:5432"
        )
    elif port == 0:
        place.refuse("url: port 0 is not allowed")
    if parts.username is not None or parts.password is not None:
        place.refuse("url: must not contain a user or a password", hint="set Authorization in secret_headers")
    try:
        if host and is_forbidden(host):
            place.refuse(f"url: {host} may not be probed", hint=_HINT_LINK_LOCAL)
    except ValueError:
        pass  # a name: checked when it is resolved
    return parts.scheme if parts.scheme in known else ""


def _expected(entry: Fields) -> tuple[str, ...]:
    written = entry.texts("expect_status")
    for text, place in written:
        if not _STATUS.fullmatch(text):
            place.refuse(f"expect_status: {text!r} is not a status", hint="write 200, or 2xx for all of them")
    return tuple(text for text, _ in written) or ("2xx",)


def _headers(entry: Fields, name: str) -> tuple[tuple[str, str], ...]:
    headers = []
    for header, value, place in entry.plain(name):
        if not _HEADER.fullmatch(header) or header.lower() in _OURS:
            place.refuse(f"{name}: {header!r} is not a header that can be set")
        elif "\n" in value or "\r" in value:
            place.refuse(f"{name}: a header must be a single line")
        else:
            headers.append((header, value))
    return tuple(headers)


def _check_files(entry: Fields, target: Target, scheme: str) -> None:
    try:
        target.all_headers()
    except SecretError as error:
        entry.at("secret_headers").refuse(str(error), hint="the file must hold the whole value, such as: Bearer abc")
    if target.ca_file is None:
        return
    if scheme not in ("https", "tls"):
        entry.at("ca_file").refuse("ca_file needs https:// or tls://")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(target.ca_file)
    except (OSError, ssl.SSLError) as error:
        entry.at("ca_file").refuse(f"ca_file: cannot use {target.ca_file}: {error}", hint="it must be a PEM file")
