"""``jelmon metrics``: declare what other services expose, so that rules over it are checked like ours."""

import argparse
import re
import sys
from pathlib import Path

from jelmon.catalogue import BY_NAME
from jelmon.errors import ConfigError
from jelmon_generators.live import http_api
from jelmon_generators.load.metrics import FOLDER
from jelmon_generators.metrics.declaration import Declaration, declared, text
from jelmon_generators.metrics.drift import differences, undeclared
from jelmon_generators.metrics.files import declarations, merged, read_page
from jelmon_generators.metrics.page import Page
from jelmon_generators.metrics.scraped import scraped
from jelmon_generators.render import output

_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "action",
        choices=("import", "check"),
        help="import: write rules/metrics/NAME.yaml; check: compare it with what is exposed",
    )
    parser.add_argument("name", metavar="NAME", help="name of the file, usually that of the service")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder that contains rules/ (default: .)"
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="a saved /metrics page, plain or .gz")
    parser.add_argument(
        "--prometheus.url",
        "--prometheus",
        dest="prometheus_url",
        metavar="URL",
        help="ask this Prometheus instead of a page",
    )
    parser.add_argument("--match", metavar="SELECTOR", help="series to ask for (default: those of the job)")
    parser.add_argument("--job", help="the job that scrapes the service (default: that in the file, else NAME)")
    parser.add_argument(
        "--closed",
        action="append",
        default=[],
        metavar="LABEL",
        help="import: this label has no other values than those exposed now; repeatable",
    )
    parser.epilog = """examples:
  curl -s http://127.0.0.1:8080/metrics > page.txt && jelmon metrics import payments --file page.txt
  jelmon metrics import payments --prometheus.url http://127.0.0.1:9090 --match '{job="payments"}'
  jelmon metrics check payments --prometheus.url http://127.0.0.1:9090
"""


def run(args: argparse.Namespace) -> int:
    """Import or check; return 1 if a declaration is wrong."""
    if not _NAME.fullmatch(args.name):
        raise ConfigError(f"{args.name!r} is not the name of a file", hint="lower-case letters, digits, '_' and '-'")
    if (args.file is None) == (args.prometheus_url is None):
        raise ConfigError("write either --file or --prometheus.url")
    if not (args.root / "rules").is_dir():
        raise ConfigError(f"no folder rules/ in {args.root.resolve()}", hint="set --root DIR")
    path = args.root / FOLDER / f"{args.name}.yaml"
    job, old = declarations(args.root, path) if path.is_file() else (None, [])
    job = args.job or job or args.name
    page = _page(args, job)
    new = _declared(page, args.closed)
    if args.action == "check":
        if not path.is_file():
            raise ConfigError(f"there is no {path}", hint=f"jelmon metrics import {args.name}")
        return _check(old, _declared(page, {label for one in old for label, _ in one.values}))
    if not new:
        raise ConfigError("there is no metric that a rule could read", hint="see the warnings above, if any")
    source = args.file.name if args.file else "Prometheus"
    change = output.changes(
        {f"{FOLDER}/{args.name}.yaml": text(merged(new, old), job=job, source=source)}, args.root, ()
    )
    output.write(change, args.root)
    sys.stderr.write(f"{path}: {len(new)} metrics, {'written' if change else 'nothing changed'}\n")
    return 0


def _page(args: argparse.Namespace, job: str) -> Page:
    if args.file is not None:
        return read_page(args.file)
    quoted = job.replace("\\", "\\\\").replace('"', '\\"')
    return scraped(http_api.prometheus(args.prometheus_url), args.match or f'{{job="{quoted}"}}')


def _declared(page: Page, closed: set[str] | list[str]) -> list[Declaration]:
    for note in page.notes:
        sys.stderr.write(f"warning: line {note.line}: {note.text}\n")
    made, refused = declared(page.families.values(), closed)
    for family, reason in refused:
        where = f"line {family.line}: " if family.line else ""
        sys.stderr.write(f"warning: {where}{family.name} is left out: {reason}\n")
    page.notes.clear()
    return [one for one in made if one.name not in BY_NAME]  # ours are known


def _check(old: list[Declaration], exposed: list[Declaration]) -> int:
    lines = list(differences(old, exposed))
    for line in lines:
        sys.stdout.write(f"{line}\n")
    if new := undeclared(old, exposed):
        sys.stderr.write(f"not declared: {', '.join(new[:5])}{', ...' if len(new) > 5 else ''} ({len(new)} metrics)\n")
    sys.stderr.write(f"{len(old)} declarations, {len(lines)} differences\n")
    return 1 if lines else 0
