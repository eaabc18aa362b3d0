"""Objectives that were converted from another format: they compile as they stand."""

import tempfile
from pathlib import Path

from jelmon.config.strict_yaml import read
from jelmon.errors import ConfigError, Problem
from jelmon_generators.check import objectives, signals
from jelmon_generators.compile import slos
from jelmon_generators.load.metrics import read_metrics
from jelmon_generators.load.settings import read_settings
from jelmon_generators.load.slos import read_slos
from jelmon_generators.model.definitions import Bundle
from jelmon_generators.model.settings import Settings

_SETTINGS = "rules/bundle.yaml"
_OBJECTIVES = "rules/slos.yaml"


def check(text: str, root: Path) -> None:
    """Compile the text of ``rules/slos.yaml`` with the settings of a bundle, if there is one.

    Raises:
        ConfigError: with every problem of the text.
    """
    problems: list[Problem] = []
    fields = read(root, _SETTINGS, []) if (root / _SETTINGS).is_file() else None
    series = read_metrics(root, [])
    settings = read_settings(fields, series) if fields else Settings()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        (folder / _OBJECTIVES).write_text(text, encoding="utf-8")
        written = read(folder, _OBJECTIVES, problems)
    if written is not None:
        bundle = Bundle(settings=settings, series=series, slos=read_slos(written, settings, series))
        objectives.check(bundle)
        signals.analysed(slos.expanded(bundle), settings.target)
    if problems:
        raise ConfigError(
            "\n".join(
                ["what the files say would not compile:", *(f"  {one.text.strip()}: {one.message}" for one in problems)]
            ),
            hint=next((one.hint for one in problems if one.hint), ""),
        )
