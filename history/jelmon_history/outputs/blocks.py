"""Blocks of a Prometheus, made by a private Prometheus that takes the samples by remote write.

Unlike `promtool tsdb create-blocks-from openmetrics` it stores staleness markers. The blocks are those of a snapshot,
complete and at rest: a Prometheus can start on a folder of them, or gets them moved into its own while it runs.
"""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.errors import SourceError
from jelmon_history.columns import Chunk
from jelmon_history.outputs.remote_write import Receiver, RemoteWriter

_BLOCK = "18h"  # as in `open_metrics`
_OPTIONS = (
    "--storage.tsdb.retention.time=90y",
    "--query.max-samples=200000000",
)
_TAKES_SAMPLES = (
    f"--storage.tsdb.min-block-duration={_BLOCK}",
    f"--storage.tsdb.max-block-duration={_BLOCK}",
    "--web.enable-remote-write-receiver",
    "--web.enable-admin-api",
)
_SNAPSHOT_SECONDS = 600.0


class BlockMaker:
    """Turns chunks in order of time into blocks. The data of an interrupted run is taken up again."""

    def __init__(self, program: Path, folder: Path, *, written: Callable[[float], None] = lambda _: None) -> None:
        """Start a Prometheus on ``folder``.

        Raises:
            SourceError: it does not start.
        """
        self._data = folder / "data"
        self._processes = Processes(folder / "logs")
        try:
            self.url = serve(self._processes, program, folder, self._data, options=_TAKES_SAMPLES)
            self._writer = RemoteWriter(Receiver(url=f"{self.url}/api/v1/write"), written=written)
        except BaseException:
            self._processes.stop()
            raise

    def write(self, chunk: Chunk) -> None:
        """Send a chunk."""
        self._writer.write(chunk)

    def finish(self) -> None:
        """Wait until Prometheus has everything."""
        self._writer.finish()

    def move_blocks(self, target: Path) -> list[Path]:
        """Move the blocks with everything that was written to ``target``; return them there.

        Raises:
            SourceError: Prometheus cannot write a snapshot.
        """
        request = urllib.request.Request(f"{self.url}/api/v1/admin/tsdb/snapshot", method="POST")
        try:
            with urllib.request.urlopen(request, timeout=_SNAPSHOT_SECONDS) as response:
                name = json.load(response)["data"]["name"]
        except (OSError, ValueError, KeyError) as error:
            detail = error.read().decode(errors="replace")[:300] if isinstance(error, urllib.error.HTTPError) else ""
            raise SourceError(
                f"Prometheus wrote no snapshot: {error} {detail}".strip(), hint="check the disk"
            ) from error
        return move_blocks(self._data / "snapshots" / name, target)

    def close(self) -> None:
        """Stop the private Prometheus."""
        self._writer.close()
        self._processes.stop()


def serve(processes: Processes, program: Path, folder: Path, data: Path, *, options: tuple[str, ...] = ()) -> str:
    """Start a private Prometheus on the blocks in ``data``; return its URL.

    Raises:
        SourceError: it does not start.
    """
    config = folder / "prometheus.yml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("{}\n", encoding="utf-8")
    return launch.prometheus(processes, program, data, config, options=(*_OPTIONS, *options))


def move_blocks(source: Path, target: Path) -> list[Path]:
    """Move the blocks of one folder to another; each appears there complete.

    A Prometheus ignores a folder with that suffix, and removes it when it starts.
    """
    target.mkdir(parents=True, exist_ok=True)
    moved = []
    for block in sorted(path for path in source.iterdir() if (path / "meta.json").is_file()):
        partial = target / f"{block.name}.tmp-for-creation"
        shutil.move(block, partial)
        moved.append(partial.replace(target / block.name))
    return moved
