"""Speed of the rules compiler: definitions, objectives, and the check of our own bundle from the shell.

Beside it, in the same run: ``promtool check rules`` on the same rules, where promtool is at hand. Each size runs in a
process of its own, so that its peak of memory is its own.
"""

import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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
    escalation: {escalation}
"""


def bundle(folder: Path, definitions: int, objectives: int) -> None:
    """A folder with that many alerts, or objectives. Three rules come from escalation: the clock and two levels."""
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
        slos = "".join(SLO.format(n=n, escalation="standard") for n in range(objectives))
        (rules / "slos.yaml").write_text(f"slos:\n{slos}")
        names += [f"Slo{n}BudgetBurn{how}" for n in range(objectives) for how in ("Fast", "Slow")]
    for name in names:
        (folder / f"docs/runbooks/{name}.md").write_text(f"# {name}\n")


def measured(folder: str, what: str) -> None:
    """In a process of its own: compile, render, print figures as JSON."""
    import jelmon.generators.command  # noqa: F401 (imports are not what is measured)
    from jelmon.generators import alertmanager, prometheus, prometheus_tests, reference
    from jelmon.generators.compiler import compile_bundle

    gc.disable()  # as the command does
    begun, worked = time.perf_counter(), time.process_time()
    made = compile_bundle(Path(folder))
    files = {**prometheus.render(made.groups), **alertmanager.render(made)}
    if what == "everything":
        files |= prometheus_tests.render(made) | reference.alerts_document(made)
    seconds = time.perf_counter() - begun
    sys.stdout.write(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": time.process_time() - worked,
                "rules": sum(len(group.rules) for group in made.groups),
                "files": len(files),
                "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def run(definitions: int, objectives: int, what: str) -> None:
    """One size: ours, then promtool's check of the same rules."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle(folder, definitions, objectives)
        command = [sys.executable, __file__, "--measure", name, what]
        got = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        label = f"{definitions:,} definitions" if definitions else f"{objectives:,} objectives"
        sys.stdout.write(
            f"{label:<20} {what:<11} {got['rules']:>7,} rules {got['files']:>7,} files"
            f" {got['seconds']:>7.2f} s ({got['cpu']:.2f} CPU) {got['cpu'] / got['rules'] * 1e6:>6.0f} us/rule"
            f" {got['mebibytes']:>6.0f} MiB\n"
        )
        if what == "rules":
            _promtool(folder)


def _promtool(folder: Path) -> None:
    from jelmon.generators.command import generate
    from jelmon.stack import servers

    promtool = servers.find("promtool")
    if promtool is None:
        sys.stdout.write("  promtool is not on this machine\n")
        return
    paths = []
    for name, text in generate(folder).items():
        if name.startswith("deploy/prometheus/rules/"):
            paths.append(folder / name)
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            paths[-1].write_text(text)
    begun = time.perf_counter()
    subprocess.run([promtool, "check", "rules", *paths], check=True, capture_output=True)
    sys.stdout.write(f"  promtool check rules on the same: {time.perf_counter() - begun:.2f} s\n")


def main() -> None:
    """Every size, then the shell."""
    run(1000, 0, "everything")
    run(10_000, 0, "everything")
    run(0, 1000, "rules")
    run(0, 1000, "everything")
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "jelmon", "generate", "--check", "--root", ROOT], check=False)
        times.append(time.perf_counter() - begun)
    sys.stdout.write(f"jelmon generate --check on our own bundle: {min(times):.2f} s (best of 5)\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measured(*sys.argv[2:4])
    else:
        main()
