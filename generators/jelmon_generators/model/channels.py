"""Types of channels: the fields that each has, and the Alertmanager receiver that it becomes.

A definition holds no secrets: each is a path to a file that Alertmanager reads when it notifies.
"""

from collections.abc import Callable
from typing import NamedTuple

from jelmon.config.strict_yaml import Fields
from jelmon_generators.checks import CHANNEL
from jelmon_generators.targets import Version

Options = dict[str, object]
TITLE = '{{ template "jelmon.title" . }}'
TEXT = '{{ template "jelmon.text" . }}'
TEMPLATES_USED = frozenset({"jelmon.title", "jelmon.text"})
"""The templates that the options of channels refer to."""


class ChannelType(NamedTuple):
    """``section`` is the receiver's key in Alertmanager; None: the alert only appears in the responder's log."""

    section: str | None
    since: Version
    read: Callable[[Fields], Options]


def _webhook(fields: Fields) -> Options:
    http = _http_config(fields)
    if fields.has("url_file"):
        return {"url_file": fields.text("url_file"), **http}
    url = fields.text("url")
    if url and not url.startswith(("http://", "https://")):
        CHANNEL.report(fields.at("url"), f"url: {url!r} is not a URL", hint="it must start with http:// or https://")
    if "@" in url.partition("://")[2].partition("/")[0]:
        CHANNEL.report(
            fields.at("url"),
            "url: it contains a user name or a password, and the rendered file would too",
            hint="use username and password_file",
        )
    return {"url": url, **http}


def _http_config(fields: Fields) -> Options:
    """Return who Alertmanager says it is, and which certificates it trusts; empty if nothing is given."""
    plain: Options = {}
    if fields.has("username") or fields.has("password_file"):
        plain["basic_auth"] = {"username": fields.text("username"), "password_file": fields.text("password_file")}
    if fields.has("cert_file") or fields.has("key_file"):
        certificate: Options = {"cert_file": fields.text("cert_file"), "key_file": fields.text("key_file")}
    else:
        certificate = {}
    if fields.has("ca_file"):
        certificate = {"ca_file": fields.text("ca_file"), **certificate}
    if certificate:
        plain["tls_config"] = certificate
    return {"http_config": plain} if plain else {}


def _log(_fields: Fields) -> Options:
    return {}


def _email(fields: Fields) -> Options:
    options: Options = {"to": fields.text("to"), "from": fields.text("from"), "smarthost": fields.text("smarthost")}
    if fields.has("username"):
        options["auth_username"] = fields.text("username")
        options["auth_password_file"] = fields.text("password_file")
    options["require_tls"] = fields.flag("require_tls", True)
    return options


def _slack(fields: Fields) -> Options:
    return {
        "api_url_file": fields.text("api_url_file"),
        "channel": fields.text("channel"),
        "title": TITLE,
        "text": TEXT,
    }


def _pagerduty(fields: Fields) -> Options:
    return {
        "routing_key_file": fields.text("routing_key_file"),
        "description": TITLE,
        "severity": fields.text("severity", "critical"),
    }


def _opsgenie(fields: Fields) -> Options:
    return {
        "api_key_file": fields.text("api_key_file"),
        "message": TITLE,
        "description": TEXT,
        "priority": fields.text("priority", "P2"),
    }


def _teams(fields: Fields) -> Options:
    return {
        "webhook_url_file": fields.text("webhook_url_file"),
        "title": TITLE,
        "text": TEXT,
    }


CHANNEL_TYPES: dict[str, ChannelType] = {
    "webhook": ChannelType("webhook_configs", (0, 25), _webhook),
    "log": ChannelType(None, (0, 25), _log),
    "email": ChannelType("email_configs", (0, 25), _email),
    "slack": ChannelType("slack_configs", (0, 25), _slack),
    "pagerduty": ChannelType("pagerduty_configs", (0, 25), _pagerduty),
    "opsgenie": ChannelType("opsgenie_configs", (0, 25), _opsgenie),
    "teams": ChannelType("msteams_configs", (0, 27), _teams),  # 0.26 supports Teams, but not a file for its URL
}
OPTIONS_SINCE: dict[str, Version] = {"url_file": (0, 26)}
"""Options that not every supported Alertmanager has, and the first version that does."""
TIMEOUT_SINCE: dict[str, Version] = {
    "webhook_configs": (0, 28),
    "pagerduty_configs": (0, 30),
    "slack_configs": (0, 30),
}
"""Sections that may have a timeout. Without one, a receiver that hangs blocks its group for a whole interval."""
TEAMS_FLOWS: Version = (0, 28)
"""Microsoft has retired the connectors that older versions use."""
