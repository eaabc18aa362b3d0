"""OpenMetrics files, as `promtool tsdb create-blocks-from openmetrics` reads them.

Each file covers one block of the size that promtool's ``--max-block-duration`` chooses, because promtool reads the
whole file again for each block. The text has no staleness markers: a series that ends is seen for five more minutes.
"""

import math
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from jelmon import catalogue as c
from jelmon.errors import SourceError
from jelmon_exporter.series.text import escape, number
from jelmon_history.columns import NAME, Chunk, Floats, Labels

BLOCK_SECONDS = 18 * 3600.0
"""Two hours, three times as long twice: one of the block sizes of Prometheus."""
SUFFIX = ".om"
_SUFFIXES = ("_bucket", "_sum", "_count")


class OpenMetricsFiles:
    """Writes the files ``<unix time of the block>.om`` into a folder. A file has its name only when it is complete."""

    def __init__(self, folder: Path) -> None:
        """Create the folder.

        Raises:
            SourceError: it cannot be created.
        """
        self._folder = folder
        self._file: IO[str] | None = None
        self._block = -1
        self._heads: dict[Labels, str] = {}
        self._types: dict[str, str] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f"cannot create {folder}: {error.strerror}", hint="name another folder") from error

    def write(self, chunk: Chunk) -> None:
        """Append a chunk to the file of its block. A chunk never crosses the end of a block."""
        block = int(chunk.begin // BLOCK_SECONDS)
        try:
            if block != self._block:
                self._complete()
                self._block = block
                self._file = self._path(".part").open("w", encoding="utf-8")
            assert self._file is not None
            self._file.writelines(self._text(chunk))
        except OSError as error:
            raise SourceError(f"cannot write {self._folder}: {error.strerror}", hint="free some space") from error

    def finish(self) -> None:
        """Complete the last file."""
        self._complete()

    def close(self) -> None:
        """Close the file that is being written; it keeps the suffix ``.part`` if it is not complete."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def complete_until(self) -> float:
        """The end of the last complete file of the folder, in seconds; minus infinity without any."""
        blocks = [int(path.stem) for path in self._folder.glob(f"*{SUFFIX}") if path.stem.isdigit()]
        return max(blocks) + BLOCK_SECONDS if blocks else -math.inf

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._block * BLOCK_SECONDS:.0f}{suffix}"

    def _complete(self) -> None:
        if self._file is not None:
            self._file.write("# EOF\n")
            self.close()
            self._path(".part").replace(self._path(SUFFIX))

    def _text(self, chunk: Chunk) -> list[str]:
        times = np.array([number(time / 1000) for time in chunk.times.tolist()])
        columns = chunk.values.T
        by_family: dict[str, list[str]] = {}
        for labels, values in zip(chunk.labels, columns, strict=True):
            present = np.flatnonzero(~np.isnan(values))
            if len(present):
                family = by_family.setdefault(_family(dict(labels)[NAME]), [])
                family += self._series(labels, values[present], times[present].tolist())
        lines: list[str] = []
        for name, texts in by_family.items():
            lines += [self._type(name), *texts]
        return lines

    def _series(self, labels: Labels, values: Floats, times: list[str]) -> list[str]:
        """Return the lines of a series: runs of equal values are joined at once."""
        head = self._heads.get(labels)
        if head is None:
            head = self._heads[labels] = _head(labels)
        begins = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
        texts = []
        for begin, end in pairwise(begins):
            start = f"{head}{number(float(values[begin]))} "
            texts.append(start + f"\n{start}".join(times[begin:end]) + "\n")
        return texts

    def _type(self, family: str) -> str:
        text = self._types.get(family)
        if text is None:
            metric = c.BY_NAME.get(family)
            kind = metric.kind if metric is not None else "gauge" if family == "up" else "unknown"
            name = family.removesuffix("_total") if kind == "counter" else family
            text = self._types[family] = f"# TYPE {name} {kind}\n"
        return text


def _family(name: str) -> str:
    for suffix in _SUFFIXES:
        base = name.removesuffix(suffix)
        if base != name and isinstance(c.BY_NAME.get(base), c.Histogram):
            return base
    return name


def _head(labels: Labels) -> str:
    name = dict(labels)[NAME]
    text = ",".join(f'{label}="{escape(value)}"' for label, value in labels if label != NAME)
    return f"{name}{{{text}}} " if text else f"{name} "
