"""``jelmon dashboards``: send the dashboards to a running Grafana."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from jelmon.config.settings import read_secret
from jelmon.errors import ConfigError, plural
from jelmon_generators.commands.generate import dashboards
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.live import http_api
from jelmon_generators.live.grafana import Folder, plan, send
from jelmon_generators.targets import Target

_TOKEN = "JELMON_GRAFANA_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("action", choices=("push",), help="push: send what differs to Grafana")
    parser.add_argument("--dry-run", action="store_true", help="send nothing; exit with 1 if something differs")
    parser.add_argument("--diff", action="store_true", help="print the differences")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder that contains rules/ (default: .)"
    )
    parser.add_argument("--grafana.url", dest="grafana_url", default="http://127.0.0.1:3000", metavar="URL")
    parser.add_argument("--folder.uid", dest="folder_uid", default=Folder().uid, metavar="UID")
    parser.add_argument("--folder.title", dest="folder_title", default=Folder().title, metavar="TITLE")
    parser.add_argument(
        "--target", type=Target.parse, metavar="VERSIONS", help="such as grafana=9.4; see jelmon generate"
    )
    parser.add_argument("--plugins", action="store_true", help="with panel plugins; see jelmon generate")
    parser.epilog = f"""{_TOKEN}_FILE names a file with the token of a service account that may write dashboards.

examples:
  jelmon dashboards push --dry-run --diff                           what would change
  {_TOKEN}_FILE=/etc/jelmon/grafana-token jelmon dashboards push --grafana.url https://grafana.example
"""


def run(args: argparse.Namespace) -> int:
    """Push; exit code 1 if a dry run finds differences."""
    if not args.grafana_url.startswith(("http://", "https://")):
        raise ConfigError(f"--grafana.url: {args.grafana_url!r} is not a URL", hint="http://127.0.0.1:3000")
    made = compile_bundle(args.root, target=args.target)
    made = replace(made, target=replace(made.target, plugins=args.plugins))
    files = {path: text for path, text in dashboards(made).items() if path.endswith(".json")}
    api = http_api.grafana(args.grafana_url, read_secret(os.environ, _TOKEN))
    pushes = plan(api, files, Folder(args.folder_uid, args.folder_title))
    changed = [push for push in pushes if push.changes]
    if args.diff:
        for push in changed:
            sys.stdout.write(push.diff())
    if args.dry_run:
        for push in changed:
            sys.stderr.write(f"{push.path}: would be {'created' if push.running is None else 'changed'}\n")
    else:
        for line in send(api, pushes):
            sys.stderr.write(f"{line}\n")
    sys.stderr.write(f"{plural(len(pushes), 'dashboard')}, {len(changed)} changed\n")
    return 1 if args.dry_run and changed else 0
