"""The way from events to a Prometheus that holds their past: samples, then regressions, then rules level by level.

What a phase writes is visible to the next one. With blocks, each phase has a private Prometheus that makes them, and
another one, over all blocks so far, answers its queries; with remote write, the server itself answers.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jelmon.demo.processes import Processes
from jelmon.errors import ConfigError
from jelmon_history import regressions
from jelmon_history.columns import Chunk
from jelmon_history.inputs.arrival import Arrival
from jelmon_history.outputs.blocks import BlockMaker, serve
from jelmon_history.outputs.output import Output
from jelmon_history.prometheus import Prometheus
from jelmon_history.rules.evaluation import Evaluation
from jelmon_history.rules.rule_files import Rule, levels
from jelmon_history.settings import Settings
from jelmon_history.simulation import Simulation

WORK = ".history"
"""Folder of what is unfinished, beside the blocks."""
_LEFT_BEHIND = ("wal", "wbl", "chunks_head", "lock", "queries.active")
Say = Callable[[str], None]


@dataclass(slots=True)
class Totals:
    """What was done, for the summary."""

    events: int = 0
    unreadable: int = 0
    scrapes: int = 0
    samples: int = 0
    begin: float | None = None
    end: float = 0.0

    def add(self, chunk: Chunk) -> None:
        """Count a chunk."""
        self.samples += chunk.samples
        self.begin = chunk.begin if self.begin is None else self.begin
        self.end = chunk.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What is derived from the samples afterwards."""

    regressions: bool = True
    regression_seconds: float = 3600.0
    rules: Sequence[Rule] = field(default_factory=tuple)


class Resume:
    """How far an interrupted run came, in a file; simulated again up to there, nothing is written twice."""

    def __init__(self, path: Path, fingerprint: str, *, resume: bool) -> None:
        """Read the file, if the run is to be resumed.

        Raises:
            ConfigError: the interrupted run had other settings or events.
        """
        self._path = path
        self._fingerprint = fingerprint
        self.until = float("-inf")
        if resume and path.is_file():
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                until, known = float(kept["until"]), str(kept["fingerprint"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{path} cannot be read: {error}", hint="start again without --resume") from error
            if known != fingerprint:
                raise ConfigError(
                    "--resume: the interrupted run had other events or settings",
                    hint="repeat its command exactly, or start again without --resume",
                )
            self.until = until

    def written(self, until: float) -> None:
        """Remember that everything up to a time (seconds) is written."""
        partial = self._path.with_suffix(".new")
        partial.write_text(json.dumps({"fingerprint": self._fingerprint, "until": until}), encoding="utf-8")
        partial.replace(self._path)

    def forget(self) -> None:
        """Remove the file: everything is done."""
        self._path.unlink(missing_ok=True)


def write_samples(
    settings: Settings, arrivals: Iterable[Arrival], output: Output, *, after: float = float("-inf")
) -> Totals:
    """Simulate and write what lies after a time (seconds); return the totals of all.

    Raises:
        SourceError: the output cannot be written.
    """
    simulation, totals = Simulation(settings), Totals()
    for chunk in simulation.run(arrivals):
        totals.add(chunk)
        if chunk.end > after:
            output.write(chunk)
    output.finish()
    totals.events, totals.unreadable, totals.scrapes = simulation.events, simulation.unreadable, simulation.scrapes
    return totals


def phases(
    settings: Settings, derived: Derived, totals: Totals
) -> Iterator[tuple[str, Callable[[Prometheus], Iterator[Chunk]]]]:
    """Yield the name of each later phase and a function that yields its chunks, from a server with the earlier ones."""
    if totals.begin is None:
        return
    begin, end, step = totals.begin, totals.end, settings.step
    if derived.regressions:
        yield (
            "regressions",
            lambda prometheus: regressions.run(
                prometheus,
                settings.analyzer_target,
                begin=begin,
                end=end,
                step=step,
                interval=derived.regression_seconds,
            ),
        )
    ordered = levels(derived.rules)
    for number, rules in enumerate(ordered, start=1):

        def evaluate(prometheus: Prometheus, rules: Sequence[Rule] = rules) -> Iterator[Chunk]:
            return Evaluation(rules, prometheus, step=step, labels=settings.labels).run(begin, end)

        yield f"rules {number}/{len(ordered)}", evaluate


def derive(
    output: Output, prometheus: Prometheus, settings: Settings, derived: Derived, totals: Totals, say: Say
) -> None:
    """Run the later phases against a server that sees at once what is written to it.

    Raises:
        SourceError: a query fails or the samples are refused.
    """
    for name, chunks in phases(settings, derived, totals):
        say(name)
        for chunk in chunks(prometheus):
            output.write(chunk)
        output.finish()


class TsdbFolder:
    """A folder that gets blocks, on which a Prometheus can start, or from which they are moved into a running one."""

    def __init__(self, program: Path, folder: Path, *, fingerprint: str, resume: bool) -> None:
        """Prepare the folder.

        Raises:
            ConfigError: it is not empty, or an interrupted run had other settings.
        """
        self._program = program
        self._folder = folder
        self._work = folder / WORK
        if not (resume and self._work.is_dir()):
            if folder.exists() and any(folder.iterdir()):
                hint = "it holds an interrupted run: add --resume" if self._work.is_dir() else "name a new folder"
                raise ConfigError(f"--tsdb: {folder} is not empty", hint=hint)
            self._work.mkdir(parents=True)
        self._resume = Resume(self._work / "state.json", fingerprint, resume=resume)

    def write(self, settings: Settings, arrivals: Iterable[Arrival], derived: Derived, say: Say) -> Totals:
        """Write everything; the blocks of a phase appear together at its end.

        Raises:
            SourceError: Prometheus does not start, or refuses something.
        """
        for block in self._folder.iterdir():  # of later phases of an interrupted run: they are made again
            if block != self._work:
                shutil.rmtree(block)
        with self._maker("samples") as maker:
            totals = write_samples(settings, arrivals, maker, after=self._resume.until)
            maker.move_blocks(self._folder)
        for name, chunks in phases(settings, derived, totals):
            say(name)
            shutil.rmtree(self._work / "phase", ignore_errors=True)
            with self._reader() as prometheus, self._maker("phase") as maker:
                wrote = False
                for chunk in chunks(prometheus):
                    maker.write(chunk)
                    wrote = wrote or chunk.samples > 0
                maker.finish()
                if wrote:
                    maker.move_blocks(self._folder)
        shutil.rmtree(self._work)
        return totals

    @contextmanager
    def _maker(self, name: str) -> Iterator[BlockMaker]:
        written = self._resume.written if name == "samples" else lambda _: None
        maker = BlockMaker(self._program, self._work / name, written=written)
        try:
            yield maker
        finally:
            maker.close()

    @contextmanager
    def _reader(self) -> Iterator[Prometheus]:
        try:
            with Processes(self._work / "logs") as processes:
                yield Prometheus(serve(processes, self._program, self._work / "reader", self._folder))
        finally:
            for name in _LEFT_BEHIND:
                path = self._folder / name
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
