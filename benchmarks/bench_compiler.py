"""Speed of the rules compiler: definitions, objectives, and the check of our own bundle from the shell.

Beside it, in the same run: sloth on 1,000 objectives of the same shape, pint on the same rules, and promtool.
Each runs in a process of its own: its start, user and system time, wall time and peak of memory count, and both write
the rules to files that do not exist yet. Best of seven, taken in turns. Ours runs from byte code, as it is installed.
promtool and both others are looked for on ``PATH``, and named when they are not there:

    go install github.com/slok/sloth/cmd/sloth@v0.16.0
    git clone https://github.com/cloudflare/pint && cd pint && go build -o ~/go/bin/pint ./cmd/pint
"""

import argparse
import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BYTE_CODE = str(Path(tempfile.gettempdir(), f"jelmon-bench-byte-code-{os.getuid()}"))
SIGNALS = """\
  signal_{n}:
    description: Signal number {n}.
    unit: ratio
    direction: up
    range: {{min: 0, max: 1}}
    expr: |
      sum by (job, pipeline, gate) (
        max without (instance, pod) (increase(jelmore_gate_evaluations_total{{verdict="failed"}}[{w}m]))
      )
      / (sum by (job, pipeline, gate) (max without (instance) (increase(jelmore_gate_evaluations_total[{w}m]))) > {n})
"""
ALERT = """\
  - rule_id: alert_{n}
    summary: Gate {{{{ $labels.gate }}}} of {{{{ $labels.pipeline }}}} fails too often
    description: "{{{{ $value | humanizePercentage }}}} of the verdicts failed."
    metric_path: signal_{n}
    operator: gt
    threshold: 0.2
    duration_minutes: 5
    keep_firing_for: 5m
    severity: critical
    escalation: standard
    auto_actions: [scale_up]
"""
SLO = """\
  slo_{n}:
    title: Cards succeed
    objective: 0.99
    period: 30d
    valid: jelmore_cards_finished_total{{pipeline!="{n}"}}
    bad: jelmore_cards_finished_total{{outcome=~"failure|error",pipeline!="{n}"}}
    by: [pipeline]
"""
SLOTH_HEAD = """\
version: prometheus/v1
service: jelmore
slos:
"""
SLOTH = """\
  - name: slo_{n}
    objective: 99
    description: Cards succeed
    sli:
      events:
        error_query: >-
          sum by (job, pipeline) (max without (instance, pod)
          (increase(jelmore_cards_finished_total{{outcome=~"failure|error",pipeline!="{n}"}}[{{{{.window}}}}])))
        total_query: >-
          sum by (job, pipeline) (max without (instance, pod)
          (increase(jelmore_cards_finished_total{{pipeline!="{n}"}}[{{{{.window}}}}])))
    alerting:
      name: Slo{n}BudgetBurn
      annotations: {{summary: Cards succeed, runbook_url: https://example.org}}
      page_alert: {{labels: {{severity: critical}}}}
      ticket_alert: {{labels: {{severity: warning}}}}
"""


class Spent(NamedTuple):
    """What a process took, from its start to its end."""

    seconds: float
    cpu: float
    mebibytes: float
    output: str

    def __str__(self) -> str:
        return f"{self.seconds:>7.2f} s ({self.cpu:.2f} CPU) {self.mebibytes:>5.0f} MiB"


def spent(command: Sequence[str | Path], *, may_find: bool = False) -> Spent:
    """Run a program. ``may_find``: an exit code of 1 means that it found something."""
    # an installation has byte code; PYTHONDONTWRITEBYTECODE would have every process compile the sources
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment.setdefault("PYTHONPYCACHEPREFIX", BYTE_CODE)
    with tempfile.TemporaryFile("w+") as output:
        begun = time.perf_counter()
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode not in ((0, 1) if may_find else (0,)):
        raise SystemExit(f"{command[0]} failed:\n{text[-2000:]}")
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def bundle(folder: Path, definitions: int, objectives: int) -> None:
    """A folder with that many alerts, or objectives. Three rules of each alert come from escalation."""
    rules = folder / "rules"
    (rules / "alerts").mkdir(parents=True)
    (folder / "docs/runbooks").mkdir(parents=True)
    (rules / "bundle.yaml").write_text("retention: 40d\nrunbook_url: https://example.org\n")
    for name in ("channels", "escalations"):
        (rules / f"{name}.yaml").write_bytes((ROOT / f"tests/generators/bundle/rules/{name}.yaml").read_bytes())
    signals = "".join(SIGNALS.format(n=n, w=30 + n % 30) for n in range(max(definitions, 1)))
    (rules / "signals.yaml").write_text(f"signals:\n{signals}")
    names = [f"Alert{n}" for n in range(max(definitions, 1))]
    alerts = "".join(ALERT.format(n=n) for n in range(max(definitions, 1)))
    (rules / "alerts/all.yaml").write_text(f"alerts:\n{alerts}")
    if objectives:
        slos = "".join(SLO.format(n=n) for n in range(objectives))
        (rules / "slos.yaml").write_text(f"slos:\n{slos}")
        names += [f"Slo{n}BudgetBurn{how}" for n in range(objectives) for how in ("Fast", "Slow")]
    for name in names:
        (folder / f"docs/runbooks/{name}.md").write_text(f"# {name}\n")


def measured(folder: str, what: str) -> None:
    """In a process of its own: compile, render, write the files, print figures as JSON."""
    gc.disable()  # as the command does
    from jelmon_generators import check
    from jelmon_generators.compiler import compile_bundle
    from jelmon_generators.render import alertmanager, output, prometheus, reference
    from jelmon_generators.unit_tests import alerts as prometheus_tests

    judging = [0.0]
    for module in (value for value in vars(check).values() if isinstance(value, ModuleType)):
        name = "analysed" if module.__name__.endswith(".signals") else "check"
        if hasattr(module, name):
            setattr(module, name, _timed(getattr(module, name), judging))
    begun, worked = time.perf_counter(), time.process_time()
    made = compile_bundle(Path(folder))
    files = {**prometheus.render(made.groups), **alertmanager.render(made)}
    if what == "everything":
        files |= prometheus_tests.render(made) | reference.alerts_document(made)
    output.write(output.changes(files, Path(folder), ()), Path(folder))
    seconds = time.perf_counter() - begun
    sys.stdout.write(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": time.process_time() - worked,
                "checks": judging[0],
                "rules": sum(len(group.rules) for group in made.groups),
                "files": len(files),
                "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def _timed(function: Callable[..., Any], total: list[float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            total[0] += time.process_time() - begun

    return timed


def run(definitions: int, objectives: int, what: str) -> None:
    """One size."""
    with tempfile.TemporaryDirectory() as name:
        bundle(Path(name), definitions, objectives)
        got = json.loads(spent(_ours(name, what)).output)
        label = f"{definitions:,} definitions" if definitions else f"{objectives:,} objectives"
        sys.stdout.write(
            f"{label:<20} {what:<11} {got['rules']:>7,} rules {got['files']:>7,} files"
            f" {got['seconds']:>7.2f} s ({got['cpu']:.2f} CPU) {got['cpu'] / got['rules'] * 1e6:>6.0f} us/rule"
            f" {got['mebibytes']:>6.0f} MiB\n"
        )


def sizes() -> None:
    """All sizes."""
    run(1000, 0, "everything")
    run(10_000, 0, "everything")
    run(0, 1000, "everything")


def _ours(folder: str | Path, what: str) -> list[str | Path]:
    return [sys.executable, __file__, "--measure", str(folder), what]


def beside_sloth(sloth: str | None, promtool: Path | None, *, objectives: int = 1000, runs: int = 7) -> None:
    """Objectives of one shape to files of rules by both, in turns; the best of some runs of each, starts included."""
    sys.stdout.write(f"\n{objectives:,} objectives to files of rules, whole processes, best of {runs} in turns:\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle(folder, 0, objectives)
        specification = SLOTH_HEAD + "".join(SLOTH.format(n=n) for n in range(objectives))
        (folder / "sloth.yaml").write_text(specification)
        command: list[str | Path] = [
            sloth or "",
            "generate",
            "-i",
            folder / "sloth.yaml",
            "-o",
            folder / "sloth.rules.yaml",
        ]
        ours, theirs = [], []
        for _ in range(runs):
            for written in (folder / "deploy", folder / "alertmanager"):
                shutil.rmtree(written, ignore_errors=True)
            (folder / "sloth.rules.yaml").unlink(missing_ok=True)
            ours.append(spent(_ours(folder, "rules")))
            if sloth:
                theirs.append(spent(command))
        best = _best(ours)
        rules = json.loads(best.output)["rules"]
        sys.stdout.write(f"  jelmon {rules:>7,} rules {best}  with its checks, and the routes of Alertmanager\n")
        if sloth:
            other = _best(theirs)
            sys.stdout.write(f"  sloth  {_rules_in(folder / 'sloth.rules.yaml'):>7,} rules {other}\n")
            sys.stdout.write(
                f"  ours / sloth: {best.seconds / other.seconds:.2f} of the time (goal: 1.0),"
                f" {best.cpu / other.cpu:.2f} of CPU (goal: 1.0), {best.mebibytes / other.mebibytes:.2f} of memory"
                " (goal: 0.3)\n"
            )
        else:
            _missing("sloth")
        if promtool:
            _render(folder)
            paths = sorted((folder / "deploy/prometheus/rules").glob("*.yml"))
            sys.stdout.write(f"  promtool check rules on ours: {spent([promtool, 'check', 'rules', *paths])}\n")
        else:
            _missing("promtool")


def _best(runs: Sequence[Spent]) -> Spent:
    """Return the least of each figure."""
    return Spent(
        min(run.seconds for run in runs),
        min(run.cpu for run in runs),
        min(run.mebibytes for run in runs),
        runs[0].output,
    )


def everything(*, objectives: int = 1000, runs: int = 3) -> None:
    """``jelmon generate`` of objectives, with tests and documents: the command itself, into an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle(folder, 0, objectives)
        took, files = [], 0
        for run in range(runs):
            target = folder / f"output{run}"
            took.append(spent([sys.executable, "-m", "jelmon", "generate", "--root", folder, "--output", target]))
            files = sum(path.is_file() for path in target.rglob("*"))
            shutil.rmtree(target)
        sys.stdout.write(
            f"\njelmon generate of {objectives:,} objectives, {files:,} files with tests and documents:"
            f" {_best(took)} (best of {runs}; goal: 3 s of CPU)\n"
        )


def beside_pint(pint: str | None, sloth: str | None, *, objectives: int = 100, runs: int = 7) -> None:
    """The checks of both, a rule: ours judge the definitions, pint lints the rules that come of them.

    What pint takes depends on how rules refer to each other, so it is shown sloth's rules for the same objectives too.
    """
    sys.stdout.write(f"\nchecks, on the rules of {objectives} objectives, in us of CPU a rule:\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle(folder, 0, objectives)
        took = [json.loads(spent(_ours(folder, "rules")).output) for _ in range(runs)]
        got = min(took, key=lambda one: float(one["checks"]))
        ours = got["checks"] / got["rules"] * 1e6
        everything = min(one["cpu"] for one in took) / got["rules"] * 1e6
        sys.stdout.write(
            f"  jelmon              {ours:>8.0f}  ({everything:.0f} with reading, compiling, rendering and writing)\n"
        )
        if not pint:
            _missing("pint")
            return
        linted = [("our rules", got["rules"], folder / "deploy/prometheus/rules")]
        _render(folder)
        if sloth:
            (folder / "sloth.yaml").write_text(SLOTH_HEAD + "".join(SLOTH.format(n=n) for n in range(objectives)))
            path = folder / "sloth.rules.yaml"
            spent([sloth, "generate", "-i", folder / "sloth.yaml", "-o", path])
            linted.append(("sloth's rules", _rules_in(path), path))
        (folder / "pint.hcl").write_text("")
        for what, rules, path in linted:
            command: list[str | Path] = [pint, "--offline", "-c", folder / "pint.hcl", "-l", "error", "lint", path]
            theirs = _best([spent(command, may_find=True) for _ in range(runs)]).cpu / rules * 1e6
            sys.stdout.write(
                f"  pint, {what:<13} {theirs:>8.0f}  ours are {theirs / ours:.0f} times as fast (goal: 50)\n"
            )


def _rules_in(path: Path) -> int:
    text = path.read_text()
    return text.count("- record: ") + text.count("- alert: ")


def _missing(name: str) -> None:
    sys.stdout.write(f"  !!! {name} IS NOT ON THIS MACHINE: nothing to compare with (see the head of this file)\n")


def _render(folder: Path) -> None:
    """Write every file, in another process: what this one has in memory would count as its children's."""
    command: list[str | Path] = [sys.executable, "-m", "jelmon", "generate", "--root", folder]
    subprocess.run(command, check=True, capture_output=True)


def from_the_shell() -> None:
    """The check of our own bundle."""
    command: list[str | Path] = [sys.executable, "-m", "jelmon", "generate", "--check", "--root", ROOT]
    best = _best([spent(command, may_find=True) for _ in range(9)])
    sys.stdout.write(f"\njelmon generate --check on our own bundle: {best} (best of 9; goal: 0.7 s)\n")


def own_tests(promtool: Path | None) -> None:
    """The unit tests of our own bundle, on all cores."""
    if not promtool:
        return
    files = sorted((ROOT / "rules/tests").rglob("*.y*ml"))
    cores = os.cpu_count() or 1
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    children = [
        subprocess.Popen([promtool, "test", "rules", *files[place::cores]], stdout=subprocess.DEVNULL)
        for place in range(cores)
    ]
    failed = [child for child in children if child.wait()]
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(
        f"promtool test rules on its {len(files)} test files, on {cores} cores:"
        f" {seconds:.1f} s ({cpu:.1f} CPU; goal: 20 s)\n"
    )
    if failed:
        sys.stdout.write("!!! SOME OF THEM FAIL\n")


def main() -> None:
    """Every size, then others beside ours, then our own bundle."""
    from jelmon.demo import servers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sloth", default=shutil.which("sloth"), help="default: from PATH")
    parser.add_argument("--pint", default=shutil.which("pint"), help="default: from PATH")
    parts: dict[str, Callable[[], object]] = {
        "sizes": sizes,
        "sloth": lambda: beside_sloth(args.sloth, promtool),
        "pint": lambda: beside_pint(args.pint, args.sloth),
        "everything": everything,
        "shell": from_the_shell,
        "tests": lambda: own_tests(promtool),
    }
    parser.add_argument("--only", choices=parts, help="default: all parts")
    args = parser.parse_args()
    promtool = servers.find("promtool")
    for name, part in parts.items():
        if args.only in (None, name):
            part()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measured(*sys.argv[2:4])
    else:
        main()
