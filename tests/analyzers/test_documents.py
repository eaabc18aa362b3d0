"""The pages on the analyzers of events name every gauge, every flag, and the formula that is tested."""

import argparse
from pathlib import Path

import pytest

from jelmon.catalogue import Service, of_service
from jelmon_analyzers.event_analyzers import bottleneck_command, health_command
from jelmon_analyzers.health.promql import recomputed
from jelmon_analyzers.health.scoring import WEIGHTS

NAMES = [
    metric.name
    for metric in of_service(Service.ANALYZER)
    if metric.name.startswith(("jelmore_bottleneck", "jelmore_health", "jelmore_suggestions"))
]


@pytest.fixture
def pages(root: Path) -> str:
    return "\n".join(
        (root / f"docs/analyzers/{name}.md").read_text(encoding="utf-8") for name in ("bottleneck", "health")
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_gauge_is_explained(pages: str, name: str) -> None:
    """By its whole name, or in the table of those that begin alike."""
    assert name in pages or f"`{name.removeprefix('jelmore_bottleneck_')}" in pages


def test_the_formula_in_the_document_is_the_one_that_is_tested(pages: str) -> None:
    """Word for word, and the weights are those of the code."""
    assert recomputed() in pages
    for part, weight in WEIGHTS.items():
        assert f"| `{part.value}` | {weight:g} |" in pages


def test_every_flag_is_explained(pages: str) -> None:
    """Each by its name."""
    parser = argparse.ArgumentParser(add_help=False)
    bottleneck_command.add_arguments(parser)
    health_command.add_arguments(parser)
    for action in parser._actions:
        assert action.option_strings[0] in pages
