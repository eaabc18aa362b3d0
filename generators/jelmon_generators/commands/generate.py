"""``jelmon generate``: compile the definitions and write the generated files, or check that they are up to date."""

import argparse
import gc
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jelmon.errors import ConfigError
from jelmon_generators.compile.objectives import objectives_of
from jelmon_generators.compiler import Compilation, compile_bundle
from jelmon_generators.render import (
    alertmanager,
    event_reference,
    kubernetes,
    output,
    prometheus,
    reference,
    responder_file,
)
from jelmon_generators.targets import Target
from jelmon_generators.unit_tests import alerts, baselines, maintenance, objectives, signals


def dashboards(made: Compilation) -> dict[str, str]:
    """Return the dashboards by path."""
    # slow to import, and not every command needs it
    from jelmon_generators.dashboards.limits import Limits
    from jelmon_generators.dashboards.render import render
    from jelmon_generators.dashboards.variants import Variant

    variant = Variant(grafana=made.target.grafana, plugins=made.target.plugins)
    return render(Limits.of(made.bundle), objectives_of(made.bundle), variant)


GENERATORS: dict[str, Callable[[Compilation], dict[str, str]]] = {
    "Prometheus rules": lambda made: prometheus.render(made.groups),
    "tests of the Prometheus rules": alerts.render,
    "tests of the signals": signals.render,
    "tests of maintenance": maintenance.render,
    "tests of objectives": objectives.render,
    "tests of baselines": baselines.render,
    "Alertmanager configuration": alertmanager.render,
    "responder file": responder_file.render,
    "dashboards": dashboards,
    "docs/metrics.md": lambda _: reference.metrics_document(),
    "docs/alerts.md": reference.alerts_document,
    "docs/events.md": lambda _: event_reference.render(),
}
"""What is generated. Each function returns path, relative to the repository root, -> text."""

FORMATS: dict[str, dict[str, Callable[[Compilation], dict[str, str]]]] = {
    "files": GENERATORS,
    "kubernetes": {"Prometheus Operator objects": kubernetes.render},
}
"""The choices of ``--format``."""

OWNED = (
    prometheus.RULES_FOLDER,
    alerts.TESTS_FOLDER,
    signals.TESTS_FOLDER,
    maintenance.TESTS_FOLDER,
    objectives.TESTS_FOLDER,
    baselines.TESTS_FOLDER,
)
"""Folders from which stale generated files are removed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing; print a diff and exit with 1 if files differ"
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder that contains rules/ and docs/ (default: .)"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write to (default: --root)")
    parser.add_argument(
        "--channel-url", action="append", default=[], metavar="NAME=URL", help="override the URL of a webhook channel"
    )
    parser.add_argument(
        "--target",
        type=Target.parse,
        metavar="VERSIONS",
        help="oldest servers to support, such as grafana=9.4 (default: target of rules/bundle.yaml, or "
        "prometheus=2.42,alertmanager=0.25,grafana=11.1)",
    )
    parser.add_argument(
        "--plugins",
        action="store_true",
        help="dashboards with the panel plugins marcusolsson-treemap-panel and volkovlabs-echarts-panel",
    )
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="files",
        help="kubernetes: Prometheus Operator objects; requires --output (default: files)",
    )
    parser.epilog = """examples:
  jelmon generate                     compile rules/ and write every generated file
  jelmon generate --check             in CI: fail if a generated file is out of date
  jelmon generate --output /etc/jelmon --channel-url responder=http://127.0.0.1:9999/api/v1/alerts/webhook
"""


def run(args: argparse.Namespace) -> int:
    """Generate or check; return the exit code."""
    root: Path = args.root
    if not (root / "rules").is_dir():
        raise ConfigError(
            f"no folder rules/ in {root.resolve()}", hint="set --root DIR, or start a project with `jelmon init`"
        )
    if args.format != "files" and args.output is None:
        raise ConfigError("--format kubernetes requires --output DIR")
    files = generate(
        root, channel_urls=_urls(args.channel_url), target=args.target, form=args.format, plugins=args.plugins
    )
    target: Path = args.output or root
    changes = output.changes(files, target, OWNED)
    if args.check:
        for change in changes:
            sys.stdout.write(change.diff())
        if changes:
            sys.stderr.write(f"{len(changes)} of {len(files)} generated files are out of date: run `jelmon generate`\n")
        return 1 if changes else 0
    output.write(changes, target)
    for change in changes:
        sys.stderr.write(f"{'removed' if change.new is None else 'wrote'} {change.path}\n")
    sys.stderr.write(f"{len(files)} files, {len(changes)} changed\n")
    return 0


def generate(
    root: Path,
    *,
    channel_urls: dict[str, str] | None = None,
    target: Target | None = None,
    form: str = "files",
    plugins: bool = False,
) -> dict[str, str]:
    """Return every generated file by path.

    Raises:
        DefinitionError: the definitions have faults.
    """
    collecting = gc.isenabled()
    gc.disable()  # many objects are created and few freed: collections would be expensive and useless
    try:
        return _generated(root, channel_urls, target, form, plugins)
    finally:
        if collecting:
            gc.enable()


def _generated(
    root: Path, channel_urls: dict[str, str] | None, target: Target | None, form: str, plugins: bool
) -> dict[str, str]:
    made = compile_bundle(root, channel_urls=channel_urls, target=target)
    made = replace(made, target=replace(made.target, plugins=plugins))
    for warning in made.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    files: dict[str, str] = {}
    for generator in FORMATS[form].values():
        files.update(generator(made))
    return files


def _urls(texts: list[str]) -> dict[str, str]:
    urls = {}
    for text in texts:
        name, equals, url = text.partition("=")
        if not equals or not url.startswith(("http://", "https://")):
            raise ConfigError(f"--channel-url: {text!r} is not NAME=URL", hint="responder=http://127.0.0.1:9748/...")
        urls[name] = url
    return urls
