"""The generated documents hold to what they describe, and every alert has its runbook."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from jelmon import events
from jelmon.catalogue import CATALOGUE
from jelmon.errors import EventError
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.render import event_reference


@pytest.mark.parametrize("kind", events.EVENT_TYPES)
def test_every_type_has_an_example_that_parses(kind: str) -> None:
    """The example is what `parse` accepts, and nothing in it is ignored."""
    plain = event_reference.example(kind)
    event = events.parse(json.dumps(plain).encode())

    assert events.type_of(event) == kind
    assert json.loads(events.encode(event))["data"].keys() == plain["data"].keys()


@pytest.mark.parametrize("kind", events.EVENT_TYPES)
def test_the_schema_accepts_the_example_and_refuses_a_broken_one(kind: str) -> None:
    """Schema and parser agree."""
    validator = jsonschema.Draft202012Validator(event_reference.schema())
    good = event_reference.example(kind)
    broken = {name: value for name, value in good.items() if name != "time"}

    assert validator.is_valid(good)
    assert not validator.is_valid(broken)
    with pytest.raises(EventError):
        events.parse(json.dumps(broken).encode())


def test_the_schema_knows_the_severities_of_findings() -> None:
    """A severity outside the vocabulary is refused by both."""
    event = event_reference.example("jelmore.scan.finished")
    event["data"] = {**event["data"], "findings": {"terrible": 1}}

    assert not jsonschema.Draft202012Validator(event_reference.schema()).is_valid(event)
    with pytest.raises(EventError):
        events.parse(json.dumps(event).encode())


def test_every_metric_is_documented(root: Path) -> None:
    """One row each."""
    document = (root / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(jelmore_\w+)` \|", document, re.MULTILINE)

    assert sorted(rows) == sorted(metric.name for metric in CATALOGUE)


def test_alerts_and_runbooks_pair(root: Path) -> None:
    """No alert without a runbook, no runbook without an alert; each has the same four sections."""
    alerts = {alert.name for alert in compile_bundle(root).bundle.alerts.values()}
    runbooks = {path.stem: path.read_text() for path in (root / "docs/runbooks").glob("*.md")}

    assert runbooks.keys() == alerts
    for name, text in runbooks.items():
        assert text.startswith(f"# {name}\n"), name
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        silence = "Never silence" if name == "Watchdog" else f"amtool silence add alertname={name} "

        assert headings == ["Meaning", "Impact", "Diagnosis", "Mitigation"], name
        assert "```promql" in text, name
        assert silence in text, name


def test_links_in_runbooks_lead_somewhere(root: Path) -> None:
    """Relative links name files that exist."""
    for path in (root / "docs/runbooks").glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
