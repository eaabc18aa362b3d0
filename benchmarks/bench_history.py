"""``jelmon history`` over 30 days of 100,000 cards with 5 stages at a step of 60 s: CPU time, memory, size.

Goal: at most 5 minutes and 500 MB. Beside it the obvious alternative: the exporter's page rendered as text at every
step, as a scrape would get it, and the timestamp appended to each line. Figures are CPU seconds of all processes, and
the largest resident memory of one of them.

  .venv/bin/python benchmarks/bench_history.py [--days 30] [--cards 100000] [--events FILE]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from jelmon.events import Event, encode, parse_all
from jelmon.tools.simulation.engine import simulate
from jelmon.tools.simulation.scenario import Arrivals, Duration, Scenario, Stage
from jelmon_exporter.counting.admission import Admission
from jelmon_exporter.counting.changes import drain
from jelmon_exporter.counting.ledger import Ledger
from jelmon_exporter.counting.limits import Limits
from jelmon_exporter.counting.tracker import Tracker
from jelmon_exporter.serving.exposition import Format, render
from jelmon_exporter.serving.view import View

START = datetime(2026, 10, 1, tzinfo=UTC)
STEP = 60.0
STAGES = ((4, 60), (6, 120), (3, 45), (5, 90), (2, 30))
"""Workers and median work time of each stage."""
VARIANTS = (
    ("samples of the exporter", ("--no-analyzers", "--no-rules")),
    ("and of the analyzers, with regressions", ("--no-rules",)),
    ("and rules", ()),
)


def write_events(path: Path, *, days: float, cards: int) -> None:
    """Write the events of a pipeline with that many cards."""
    stages = tuple(
        Stage(
            stage=f"stage_{number}",
            workers=workers,
            service=Duration(median_seconds=seconds, spread=0.5),
            failure_share=0.02,
            max_attempts=2,
        )
        for number, (workers, seconds) in enumerate(STAGES)
    )
    scenario = Scenario(pipeline="bench", arrivals=Arrivals(per_minute=cards / days / 1440), stages=stages)
    with path.open("wb") as file:
        for step in simulate(scenario, seed=1, start=START, seconds=days * 86400):
            file.write(encode(step.event) + b"\n")


def measure(name: str, events: Path, options: tuple[str, ...], program: str | None) -> None:
    """Run one variant in a process of its own and print its figures."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "data"
        command = [sys.executable, "-m", "jelmon", "history", str(events), "--tsdb", str(target), *options]
        command += ["--prometheus", program] if program else []
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall = time.monotonic() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(done.stderr)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
        print(
            f"{name}: {cpu:.0f} s CPU, {wall:.0f} s, {after.ru_maxrss / 1024:.0f} MB, blocks {size:.0f} MB", flush=True
        )
        print(f"  {done.stderr.splitlines()[-1]}", flush=True)


def measure_text(events: Path, *, hours: float) -> None:
    """Render the page as text at every step, for the first hours only, and append the time to each line."""
    ledger = Ledger(limits=Limits(), admission=Admission(200))
    tracker, view = Tracker(ledger), View()
    began = time.process_time()
    lines = samples = 0
    scrape = START.timestamp() + STEP
    batch: list[Event] = []
    with events.open("rb") as file:
        for line in file:
            (event,) = parse_all([line])
            while event.time.timestamp() > scrape:
                ledger.now = scrape
                tracker.apply(batch)
                batch = []
                view.update("text", drain(ledger).series)
                text = [f"{part} {scrape}" for part in render(view, Format.OPENMETRICS).splitlines() if part[0] != "#"]
                samples += len(text)
                scrape += STEP
            batch.append(event)
            lines += 1
            if event.time.timestamp() > START.timestamp() + hours * 3600:
                break
    seconds = time.process_time() - began
    print(
        f"page as text at every step, without analyzers and blocks: {seconds:.1f} s CPU for {hours:g} hours, "
        f"{720 / hours * seconds:.0f} s for 30 days ({samples} samples, {lines} events)"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--cards", type=int, default=100_000)
    parser.add_argument("--events", type=Path, help="events that were written before; otherwise they are written first")
    parser.add_argument("--prometheus", help="Prometheus program")
    parser.add_argument("--variants", type=int, default=len(VARIANTS), help="how many of the variants to run")
    args = parser.parse_args()
    print(f"load: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        events = args.events or Path(folder) / "events.jsonl"
        if args.events is None:
            write_events(events, days=args.days, cards=args.cards)
        measure_text(events, hours=6)
        for name, options in VARIANTS[: args.variants]:
            measure(name, events, options, args.prometheus)


if __name__ == "__main__":
    main()
