"""``jelmon rules``: compare compiled rules with running ones, backtest them, load them, import OpenSLO."""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import yaml

from jelmon.config.settings import parse_duration
from jelmon.errors import ConfigError, SourceError
from jelmon_generators.check import imported
from jelmon_generators.compile.rules import Compiled
from jelmon_generators.compiler import Compilation, compile_bundle
from jelmon_generators.live import http_api
from jelmon_generators.live.apply import apply, checked
from jelmon_generators.live.backtest import held, metrics, outcome, query
from jelmon_generators.live.destinations import Named, destinations, unknown_responder
from jelmon_generators.live.plan import compiled_facts, differences, loaded_facts, routing_differences
from jelmon_generators.load.openslo import convert
from jelmon_generators.promql.expressions import duration
from jelmon_generators.render import alertmanager as alertmanager_file
from jelmon_generators.render import output, prometheus, responder_file
from jelmon_generators.targets import Target

_MOST_POINTS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "action",
        choices=("plan", "apply", "import"),
        help="plan: compare and backtest; apply: write and reload; import: convert OpenSLO v1 for rules/slos.yaml",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="import: OpenSLO files")
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="folder that contains rules/ (default: .)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="apply: folder that the servers read from (default: --root, or where the running Prometheus reads)",
    )
    parser.add_argument(
        "--alertmanager.config",
        dest="alertmanager_config",
        type=Path,
        metavar="FILE",
        help="apply: configuration file that Alertmanager reads (default: found beside the rule files)",
    )
    parser.add_argument(
        "--responder.rules",
        dest="responder_rules",
        type=Path,
        metavar="FILE",
        help="apply: file that the responder reads, its --rules.file (default: found, or /etc/jelmon/rules.json)",
    )
    parser.add_argument("--prometheus.url", dest="prometheus_url", default="http://127.0.0.1:9090", metavar="URL")
    parser.add_argument("--alertmanager.url", dest="alertmanager_url", default="http://127.0.0.1:9093", metavar="URL")
    parser.add_argument(
        "--backtest", metavar="DURATION", help="plan: evaluate conditions over this much history, such as 7d"
    )
    parser.add_argument("--all", action="store_true", help="plan: backtest all alerts, not only changed ones")
    parser.add_argument(
        "--target", type=Target.parse, metavar="VERSIONS", help="oldest servers to support; see jelmon generate"
    )
    parser.epilog = """examples:
  jelmon rules plan                     differences from the running configuration
  jelmon rules plan --backtest 7d       also how often changed alerts would have fired
  jelmon rules apply                    check, write, reload, compare; roll back on failure
  jelmon rules import slo.yaml          convert OpenSLO to YAML for rules/slos.yaml
"""


def run(args: argparse.Namespace) -> int:
    """Plan (exit code 1 if something would change), apply or import."""
    if (args.action == "import") != bool(args.files):
        raise ConfigError(
            "import requires files; plan and apply accept none", hint="for example: jelmon rules import slo.yaml"
        )
    if args.action == "import":
        text = convert(args.files)
        imported.check(text, args.root)
        sys.stdout.write(text)
        return 0
    made = compile_bundle(args.root, target=args.target)
    return _apply(made, args) if args.action == "apply" else _plan(made, args)


def _plan(made: Compilation, args: argparse.Namespace) -> int:
    server = http_api.prometheus(args.prometheus_url)
    changes = differences(loaded_facts(server.get("/api/v1/rules")["data"]), compiled_facts(made))
    running = yaml.safe_load(http_api.alertmanager(args.alertmanager_url).get("/api/v2/status")["config"]["original"])
    routes = routing_differences(running, yaml.safe_load(alertmanager_file.render(made)[alertmanager_file.PATH]))
    for line in (*map(str, changes), *routes):
        sys.stdout.write(f"{line}\n")
    if not changes and not routes:
        sys.stdout.write("nothing would change\n")
    if args.backtest:
        changed = {difference.key[2].split(",")[0] for difference in changes if difference.key[0] == "alert"}
        chosen = [compiled for compiled in made.compiled if args.all or compiled.alert.rule_id in changed]
        _backtest(chosen, made, server, parse_duration(args.backtest, name="--backtest"))
    return 1 if changes or routes else 0


def _backtest(chosen: Iterable[Compiled], made: Compilation, server: http_api.Api, span: float) -> None:
    now = time.time()
    step = max(made.bundle.settings.evaluation_interval_seconds, span / _MOST_POINTS)
    start = _history_starts(server, now - span, now, step)
    sys.stdout.write(f"\nin the last {duration(round(now - start))}, evaluated every {duration(step)}:\n")
    sys.stdout.write(f"{'alert':<36} {'fired':>6} {'for':>12} {'pages':>6}  levels reached\n")
    known = server.get(f"/api/v1/label/__name__/values?start={start:.3f}&end={now:.3f}")["data"]
    for compiled in chosen:
        text = query(compiled, made)
        asked = metrics(text)
        missing = [name for name in asked if name not in known]
        if asked and missing == asked:
            sys.stdout.write(f"{compiled.alert.name:<36} cannot be backtested: no history of {', '.join(missing)}\n")
            continue
        fields = {"query": text, "start": f"{start:.3f}", "end": f"{now:.3f}", "step": f"{step:.3f}"}
        try:
            matrix = server.form("/api/v1/query_range", fields)["data"]["result"]
        except SourceError as error:  # too expensive for this server; others may still work
            sys.stdout.write(f"{compiled.alert.name:<36} cannot be backtested: {error.message}\n")
            continue
        escalation = made.bundle.escalations.get(compiled.alert.escalation or "")
        levels = [level.minutes * 60 for level in escalation.levels] if escalation else []
        got = outcome(compiled, held(matrix), levels, step)
        reached = ", ".join(f"{place}: {count}" for place, count in enumerate(got.levels, 1))
        reached += f"  (no history of {', '.join(missing)})" if missing else ""
        sys.stdout.write(
            f"{compiled.alert.name:<36} {len(got.episodes):>6} {duration(round(got.firing_seconds)):>12} {got.pages:>6}"
            f"  {reached}\n"
        )


def _history_starts(server: http_api.Api, start: float, end: float, step: float) -> float:
    """Return when the history of Prometheus begins; before that, everything looks absent."""
    fields = {"query": "count(up)", "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
    moments = held(server.form("/api/v1/query_range", fields)["data"]["result"])
    return moments[0][0] if moments else start


def _apply(made: Compilation, args: argparse.Namespace) -> int:
    servers = http_api.prometheus(args.prometheus_url), http_api.alertmanager(args.alertmanager_url)
    named = Named(args.output, args.alertmanager_config, args.responder_rules)
    places = destinations(servers[0], args.root, named)
    servers[1].get("/api/v2/status")  # before anything is written
    sys.stderr.write(f"rule files in {places.rules}, configuration in {places.alertmanager}\n")
    if places.responder:
        sys.stderr.write(f"the responder reads {places.responder}\n")
    files = {**prometheus.render(made.groups), **alertmanager_file.render(made), **responder_file.render(made)}
    changes = output.changes(places.placed(files), Path(), (str(places.rules),))
    for line in checked(files):
        sys.stderr.write(f"{line}\n")
    for line in apply(made, changes, places, *servers):
        sys.stderr.write(f"{line}\n")
    sys.stderr.write(f"{len(changes)} files changed\n")
    if warning := unknown_responder(servers[0], places):
        sys.stderr.write(f"warning: {warning}\n")
    return 0
