"""Everything under ``rules/`` to one bundle of definitions."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from jelmon.config.strict_yaml import Fields, Source, read
from jelmon.errors import Problem
from jelmon_generators.checks import FILES
from jelmon_generators.load.alerts import read_alerts
from jelmon_generators.load.channels import read_channels
from jelmon_generators.load.escalations import read_escalations
from jelmon_generators.load.metrics import read_metrics
from jelmon_generators.load.settings import read_settings
from jelmon_generators.load.signals import read_signals
from jelmon_generators.load.slos import read_slos
from jelmon_generators.load.windows import read_windows
from jelmon_generators.model.definitions import Alert, Bundle

_FILES = ("bundle.yaml", "signals.yaml", "slos.yaml", "channels.yaml", "escalations.yaml", "windows.yaml")


class Loaded(NamedTuple):
    """The definitions, and the files that they were read from."""

    bundle: Bundle
    sources: tuple[Source, ...]


def load(root: Path, problems: list[Problem]) -> Loaded:
    """Read everything under ``root/rules``; what is wrong with it is added to ``problems``."""
    files = _read_files(root, problems)
    series = read_metrics(root, problems)
    bundle = Bundle(series=series)
    if fields := files.get("rules/bundle.yaml"):
        bundle = replace(bundle, settings=read_settings(fields, series))
    if fields := files.get("rules/signals.yaml"):
        bundle = replace(bundle, signals=read_signals(fields, series))
    if fields := files.get("rules/slos.yaml"):
        bundle = replace(bundle, slos=read_slos(fields, bundle.settings, series))
    if fields := files.get("rules/channels.yaml"):
        channels, routing = read_channels(fields)
        bundle = replace(bundle, channels=channels, everywhere=routing.everywhere, routes=routing.routes)
    if fields := files.get("rules/escalations.yaml"):
        bundle = replace(bundle, escalations=read_escalations(fields))
    if fields := files.get("rules/windows.yaml"):
        bundle = replace(bundle, windows=read_windows(fields))
    alerts: dict[str, Alert] = {}
    for path, fields in files.items():
        if path.startswith("rules/alerts/"):
            read_alerts(fields, bundle.settings, alerts)
    bundle = replace(bundle, alerts=alerts)
    _report_missing(root, bundle, problems)
    return Loaded(bundle, tuple(fields.place.source for fields in files.values()))


def _read_files(root: Path, problems: list[Problem]) -> dict[str, Fields]:
    """Return the fields of every file that can be read, by path under ``root``."""
    paths = []
    for path in sorted((root / "rules").glob("*.y*ml")):
        if path.name in _FILES:
            paths.append(f"rules/{path.name}")
        else:
            hint = f"rules/ may hold {', '.join(_FILES)}, alerts/ and metrics/"
            problems.append(Problem(f"rules/{path.name}", 0, "unknown file, never read", hint, check=FILES.id))
    paths += [f"rules/alerts/{path.name}" for path in sorted((root / "rules" / "alerts").glob("*.y*ml"))]
    return {path: fields for path in paths if (fields := read(root, path, problems)) is not None}


def _report_missing(root: Path, bundle: Bundle, problems: list[Problem]) -> None:
    def report(path: str, message: str, hint: str) -> None:
        problems.append(Problem(path, 0, message, hint, check=FILES.id))

    for name, what, table in (
        ("signals.yaml", "signals", bundle.signals),
        ("channels.yaml", "channels", bundle.channels),
    ):
        if not table and not any(problem.path == f"rules/{name}" for problem in problems):
            report(f"rules/{name}", f"no {what} are declared", "see docs/alerting.md for an example")
    if not any((root / "rules" / "alerts").glob("*.y*ml")):
        report("rules/alerts", "no alert definitions found", "is --root the repository root?")
