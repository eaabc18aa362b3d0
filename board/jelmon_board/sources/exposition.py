"""Reads the text format of ``/metrics``: only the series that pages need, so that a large page stays cheap."""

import re
from collections.abc import Collection

from jelmon_board.model.samples import Samples

_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"[, ]*')
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = {"n": "\n", '"': '"', "\\": "\\"}


def parse(text: str, wanted: Collection[str]) -> Samples:
    """Return the samples whose series name is wanted. Lines that are not samples are skipped."""
    samples = Samples()
    for line in text.split("\n"):
        brace = line.find("{")
        name = line[:brace] if brace > 0 else line.partition(" ")[0]
        if name not in wanted:
            continue
        end = line.rfind("}") if brace > 0 else len(name) - 1
        if end < 0:
            continue
        labels = {key: _unescape(value) for key, value in _LABEL.findall(line, brace + 1, end)} if brace > 0 else {}
        words = line[end + 1 :].split()
        try:
            samples.add(name, labels, float(words[0]))
        except (IndexError, ValueError):
            continue
    return samples


def _unescape(value: str) -> str:
    return _ESCAPED.sub(lambda match: _PLAIN.get(match[1], match[0]), value) if "\\" in value else value
