"""The week before the demo: simulated, made into history in the background, and handed to the running Prometheus."""

import contextlib
import shlex
import shutil
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from jelmon.demo.processes import Child, Processes

_SIMULATE = "simulate --scenario demo-week --seconds 7d --speed 0 --seed 1 --dry-run"
_HISTORY = "history - --analyzers.interval 30m --regression.interval 6h"


class Week:
    """Makes the week in a process of low priority. A context manager: leaving it stops what still runs."""

    def __init__(
        self, folder: Path, *, prometheus: Path, data: Path, rules: Path, exporter: str, analyzer: str
    ) -> None:
        """Prepare the week that ends now.

        ``prometheus`` is the program, ``data`` the folder of the running one, ``rules`` that of its rules; ``exporter``
        and ``analyzer`` are the URLs that it scrapes.
        """
        self._target = folder / "week"
        self._data = data
        self._processes = Processes(folder / "logs")
        self._command = [
            *shlex.split(_HISTORY),
            *_arguments(self._target, prometheus, rules),
            *("--instance.exporter", urlsplit(exporter).netloc, "--instance.analyzer", urlsplit(analyzer).netloc),
        ]
        self._child: Child | None = None
        self._started = 0.0

    def __enter__(self) -> "Week":
        """Start making it."""
        jelmon = [sys.executable, "-m", "jelmon"]
        pipeline = f"{shlex.join([*jelmon, *shlex.split(_SIMULATE)])} | {shlex.join([*jelmon, *self._command])}"
        nice = ["nice", "-n", "19"] if shutil.which("nice") else []
        self._started = time.monotonic()
        self._child = self._processes.start("week", [*nice, "sh", "-c", pipeline])
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.stop()

    def poll(self) -> str:
        """Return a line to show when the week has become ready or has failed; an empty string otherwise."""
        child = self._child
        if child is None or child.alive():
            return ""
        self._child = None
        if child.process.returncode:
            return f"there will be no history of a week:\n{child.tail()}"
        for block in sorted(path for path in self._target.iterdir() if (path / "meta.json").is_file()):
            with contextlib.suppress(FileExistsError):
                block.rename(self._data / block.name)
        seconds = time.monotonic() - self._started
        return f"a week of simulated history is ready (after {seconds:.0f} s); Prometheus shows it within a minute"


def _arguments(target: Path, prometheus: Path, rules: Path) -> list[str]:
    """Return the arguments for blocks that end now, with what rules record."""
    output = ["--tsdb", str(target), "--prometheus", str(prometheus), "--until", f"@{time.time():.0f}"]
    return output + [word for path in sorted(rules.glob("*.yml")) for word in ("--rules", str(path))]
