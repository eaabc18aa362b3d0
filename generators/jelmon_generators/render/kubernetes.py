"""Render rules and routes as objects of the Prometheus Operator, and the responder's file as a ConfigMap.

The operator adds ``namespace`` to every route and inhibition of an AlertmanagerConfig unless its matcher strategy is
``None``. Our alerts carry no namespace, so that strategy is required. Secrets are keys of a Kubernetes secret, named
after their files. An AlertmanagerConfig cannot bring template files, so texts contain the definitions that they use.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from jelmon.bundle import rules_file
from jelmon.errors import ConfigError
from jelmon_generators.compile.routing import Matcher, RoutingNode
from jelmon_generators.compile.rules import Group
from jelmon_generators.compiler import Compilation
from jelmon_generators.load.templates import self_contained
from jelmon_generators.model.channels import CHANNEL_TYPES, TEAMS_FLOWS, TEXT, TITLE
from jelmon_generators.model.definitions import Channel
from jelmon_generators.model.windows import time_interval
from jelmon_generators.promql.expressions import duration
from jelmon_generators.render.prometheus import rule_file
from jelmon_generators.render.responder_file import text
from jelmon_generators.text import camel

FOLDER = "deploy/kubernetes"
SECRET = "jelmon-alertmanager"
_KINDS = {
    "webhook": "webhookConfigs",
    "email": "emailConfigs",
    "slack": "slackConfigs",
    "pagerduty": "pagerdutyConfigs",
}
_KINDS |= {"opsgenie": "opsgenieConfigs", "teams": "msteamsConfigs"}
_TLS = {"ca_file": "ca", "cert_file": "cert", "key_file": "keySecret"}
_SPELLED = {"require_tls": "requireTLS"}
_SECRETS = {  # our option -> the operator's
    "url_file": "urlSecret",
    "auth_password_file": "authPassword",
    "api_url_file": "apiURL",
    "routing_key_file": "routingKey",
    "api_key_file": "apiKey",
    "webhook_url_file": "webhookUrl",
}


def render(made: Compilation) -> dict[str, str]:
    """Return one object per file."""
    files = {f"{FOLDER}/rules-{group.name.replace('_', '-')}.yml": _rules(made, group) for group in made.groups}
    files[f"{FOLDER}/alertmanager-config.yml"] = _config(made)
    files[f"{FOLDER}/responder-rules.yml"] = _object(
        "v1", "ConfigMap", "jelmon-responder", {"data": {PurePosixPath(rules_file.PATH).name: text(made)}}
    )
    return files


def _object(version: str, kind: str, name: str, content: Mapping[str, Any]) -> str:
    """Return an object as JSON, which is valid YAML."""
    plain = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}
    return f"# generated from rules/, do not edit\n{json.dumps(plain, indent=2, ensure_ascii=False)}\n"


def _rules(made: Compilation, group: Group) -> str:
    """Return a PrometheusRule: the rule file, indented below ``spec``."""
    banner, *lines = rule_file(group).rstrip("\n").split("\n")
    head = [
        banner,
        "apiVersion: monitoring.coreos.com/v1",
        "kind: PrometheusRule",
        "metadata:",
        f"  name: jelmon-{group.name.replace('_', '-')}",
        "  labels:",
        f"    app.kubernetes.io/part-of: {made.bundle.settings.team}",
        "spec:",
    ]
    return "\n".join([*head, *(f"  {line}" if line else "" for line in lines)]) + "\n"


def _config(made: Compilation) -> str:
    spec: dict[str, Any] = {"route": _route(made.routing.root)}
    spec["receivers"] = [
        {"name": name, **_integrations([made.bundle.channels[channel] for channel in channels], made)}
        for name, channels in sorted(made.routing.receivers.items())
    ]
    spec["inhibitRules"] = [
        {
            "sourceMatch": [_matcher(Matcher("rule_id", "=", inhibition.source))],
            "targetMatch": [_matcher(Matcher("rule_id", "=", inhibition.target))],
            "equal": list(inhibition.equal),
        }
        for inhibition in made.routing.inhibitions
    ]
    windows = [window for window in made.bundle.windows.values() if window.route]
    for window in windows:
        if window.zone.key != "UTC":
            raise ConfigError(
                f"window {window.name!r}: time intervals of the Prometheus Operator have no time zone",
                hint="use UTC, or scope the window with matchers",
            )
    intervals = [time_interval(window) for window in windows]
    if intervals:
        spec["muteTimeIntervals"] = [_camel_interval(interval) for interval in intervals]
    return _object("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", "jelmon", {"spec": spec})


def _matcher(matcher: Matcher) -> dict[str, str]:
    return {"name": matcher.name, "matchType": matcher.operator, "value": matcher.value}


def _route(node: RoutingNode) -> dict[str, Any]:
    plain: dict[str, Any] = {"receiver": node.receiver}
    if node.matchers:
        plain["matchers"] = [_matcher(matcher) for matcher in node.matchers]
    if node.goes_on:
        plain["continue"] = True
    if node.group_by is not None:
        plain["groupBy"] = list(node.group_by)
    for name in ("group_wait", "group_interval", "repeat_interval"):
        seconds = getattr(node, name)
        if seconds is not None:
            plain[camel(name)] = duration(seconds)
    if node.muted_in:
        plain["muteTimeIntervals"] = list(node.muted_in)
    if node.routes:
        plain["routes"] = [_route(child) for child in node.routes]
    return plain


def _integrations(channels: list[Channel], made: Compilation) -> dict[str, Any]:
    receivers: dict[str, list[dict[str, Any]]] = {}
    for channel in channels:
        if CHANNEL_TYPES[channel.type].section is None:
            continue
        kind = _KINDS[channel.type]
        options = dict(_option(name, value, channel, made.templates) for name, value in channel.options.items())
        if channel.type == "teams" and made.target.alertmanager >= TEAMS_FLOWS:
            kind = "msteamsv2Configs"
            options["webhookURL"] = options.pop("webhookUrl")  # spelled differently there
        options["sendResolved"] = channel.send_resolved and channel.max_per_hour is None
        receivers.setdefault(kind, []).append(options)
    return dict(sorted(receivers.items()))


def _option(name: str, value: object, channel: Channel, templates: Mapping[str, str]) -> tuple[str, object]:
    if value in (TITLE, TEXT):
        value = self_contained(str(value), templates)
    if name == "http_config" and isinstance(value, dict):
        return camel(name), _http_config(value, channel)
    if name not in _SECRETS:
        return _SPELLED.get(name, camel(name)), value
    return _SECRETS[name], _in_secret(name, value, channel)


def _in_secret(name: str, value: object, channel: Channel) -> dict[str, str]:
    key = PurePosixPath(str(value)).name
    if not key:
        raise ConfigError(
            f"channel {channel.name!r}: {name} is not a file path", hint="the file name becomes the key in the secret"
        )
    return {"name": SECRET, "key": key}


def _http_config(plain: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
    """Return the log-in and certificates; the operator takes the user name from the secret, too."""
    made: dict[str, Any] = {}
    if "basic_auth" in plain:
        password = _in_secret("password_file", plain["basic_auth"]["password_file"], channel)
        made["basicAuth"] = {"username": {**password, "key": f"{password['key']}-username"}, "password": password}
    tls = {name: _in_secret(name, value, channel) for name, value in plain.get("tls_config", {}).items()}
    if tls:
        made["tlsConfig"] = {
            _TLS[name]: secret if name == "key_file" else {"secret": secret} for name, secret in tls.items()
        }
    return made


def _camel_interval(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return a time interval in the spelling of the operator."""
    parts = []
    for part in plain["time_intervals"]:
        camel_part: dict[str, Any] = {
            "times": [{"startTime": span["start_time"], "endTime": span["end_time"]} for span in part["times"]]
        }
        if "weekdays" in part:
            camel_part["weekdays"] = part["weekdays"]
        if "days_of_month" in part:
            camel_part["daysOfMonth"] = [{"start": int(day), "end": int(day)} for day in part["days_of_month"]]
        parts.append(camel_part)
    return {"name": plain["name"], "timeIntervals": parts}
