"""docs/guides/running.md lists every setting of the services, and none that there is not."""

import argparse
import re
from pathlib import Path

import pytest

from jelmon import cli
from jelmon_analyzers import command as analyzer
from jelmon_board import command as board
from jelmon_exporter import command as exporter
from jelmon_exporter.settings import ExporterSettings
from jelmon_responder import command as responder
from jelmon_responder.mail.settings import MailSettings
from jelmon_responder.settings import ResponderSettings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/guides/running.md").read_text(encoding="utf-8")
SENDING = (ROOT / "docs/guides/sending-events.md").read_text(encoding="utf-8")
SERVICES = {"exporter": exporter, "analyzer": analyzer, "responder": responder, "board": board}
# where each reads its environment
READERS = {
    "exporter": ("exporter/jelmon_exporter/settings.py",),
    "analyzer": (
        "analyzers/jelmon_analyzers/event_analyzers/settings.py",
        "analyzers/jelmon_analyzers/regression/flags.py",
    ),
    "responder": ("responder/jelmon_responder/settings.py",),
    "board": ("board/jelmon_board/settings.py",),
}


def table(title: str) -> str:
    """The rows below a headline."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return "\n".join(line for line in section.splitlines() if line.startswith("|"))


def cells(title: str, column: int) -> set[str]:
    """What stands in backticks in a column."""
    return {
        word for row in table(title).splitlines()[2:] for word in re.findall(r"`([^`]+)`", row.split("|")[column + 1])
    }


def flags(parser: argparse.ArgumentParser) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")} - {"--help"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_flag_stands_in_the_table(service: str) -> None:
    parser = argparse.ArgumentParser()
    SERVICES[service].add_arguments(parser)

    assert cells(f"Settings of the {service}", 0) == flags(parser)


def test_the_flags_of_every_command_stand_in_the_table() -> None:
    _, commands = cli._parser()

    assert cells("Settings of every command", 0) == flags(commands["exporter"])


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_stands_in_the_table(service: str) -> None:
    """Those of NATS, which every command reads, stand in the guide to sending events."""
    code = "".join((ROOT / path).read_text(encoding="utf-8") for path in READERS[service])
    calls = re.findall(r"reader\.(\w+)\(([^()]*)\)", code)
    named = {(method, name) for method, call in calls for name in re.findall(r'"([A-Z][A-Z_]+)"', call)}
    read = {f"{name}_FILE" if method in ("secret", "database_url") else name for method, name in named}

    assert cells(f"Settings of the {service}", 1) == read | ({"NATS_URL"} if service != "board" else set())
    assert "NATS_URL" in SENDING


def test_defaults_are_those_of_the_code() -> None:
    """Each in the column of defaults, as the settings classes have it."""
    rows = {row.split("|")[1].strip(" `"): row.split("|")[4] for row in table("Settings of the responder").splitlines()}
    responder_settings = ResponderSettings()
    mail = MailSettings(server="h:25", sender="a@b", recipients=("a@b",))
    for flag, value in (
        ("--web.listen-address", responder_settings.listen),
        ("--alertmanager.poll-interval", f"{responder_settings.poll_seconds / 60:g}m"),
        ("--alertmanager.settle", f"{responder_settings.settle_seconds / 60:g}m"),
        ("--actions.allowed", ",".join(responder_settings.allowed_actions)),
        ("--email.security", mail.security),
        ("--email.severities", ",".join(mail.severities)),
        ("--email.max-per-hour", mail.max_per_hour),
    ):
        assert str(value) in rows[flag].replace("`", "").replace(", ", ","), flag

    settings = ExporterSettings()
    shown = table("Settings of the exporter")
    for name, default in (
        ("METRICS_RETENTION_DAYS", f"{settings.retention / 86400:g}"),
        ("METRICS_COLLECTION_INTERVAL", f"{settings.collection_interval:g}s"),
        ("METRICS_LABEL_LIMIT", settings.label_limit),
        ("METRICS_BATCH_EVENTS", settings.batch_messages),
        ("METRICS_BATCH_INTERVAL", f"{settings.batch_seconds * 1000:g}ms"),
        ("REDIS_PREFIX", settings.redis_prefix),
        ("--web.listen-address", settings.listen_address),
        ("--web.telemetry-path", settings.telemetry_path),
    ):
        assert re.search(rf"`{name}`.*\| `{default}` \|$", shown, re.MULTILINE), name


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\((?!http|#)([^)#]+)", TEXT)

    assert links
    assert [link for link in links if not (ROOT / "docs/guides" / link).is_file()] == []
