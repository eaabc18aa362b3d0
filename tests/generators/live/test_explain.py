"""The routes we compute agree with amtool, and the explanation of an alert is complete."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jelmon.cli import main
from jelmon_generators.commands.generate import generate
from jelmon_generators.compile.delivery import hops
from jelmon_generators.compiler import Compilation, compile_bundle
from jelmon_generators.live.explain import explain

HERE = Path(__file__).parents[1] / "bundle"
SILENCED = "silenced: by window nightly_upgrade until "
LABELS = {
    "severity": ["critical", "warning", "info", "none", "unknown"],
    "rule_id": ["too_slow", "queue_long", "no_cpu_figures", "watchdog", "another"],
    "escalation": ["standard", "another"],
    "escalation_level": ["1", "2", "3"],
    "pipeline": ["checkout", "nightly"],
}


@pytest.fixture(scope="module")
def made() -> Compilation:
    """The small bundle, compiled."""
    return compile_bundle(HERE)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its alertmanager.yml."""
    path = tmp_path_factory.mktemp("routes") / "alertmanager.yml"
    path.write_text(generate(HERE)["alertmanager/alertmanager.yml"].replace('templates: ["templates/*.tmpl"]\n', ""))
    return path


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in LABELS.items()}))
def test_we_and_amtool_agree_on_who_is_notified(
    labels: dict[str, str], made: Compilation, config: Path, tool: Callable[[str], Path]
) -> None:
    """The same receivers, in the same order."""
    written = [f"{name}={value}" for name, value in labels.items()]
    routed = subprocess.run(
        [tool("amtool"), "config", "routes", "test", f"--config.file={config}", *written],
        capture_output=True,
        text=True,
        check=True,
    )

    assert routed.stdout.strip() == ",".join(hop.receiver for hop in hops(made.routing.root, labels))


def test_the_explanation_of_an_alert(made: Compilation) -> None:
    """Receivers, timing, a rate limit, inhibition, and what mutes it at that time."""
    sunday = datetime(2026, 2, 1, 21, 0, tzinfo=UTC)

    text = "\n".join(explain(made, {"alertname": "QueueLong", "pipeline": "nightly"}, sunday))

    assert (
        text
        == """\
labels:    alertname="QueueLong", pipeline="nightly", rule_id="queue_long", severity="warning", team="platform"
at:        2026-02-01T21:00+00:00

receiver:  team-mail
  route:    rule_id=~"queue_long" escalation_level=""
  channels: team-mail (email)
  group:    all_in_one_group=''
  timing:   after 30s; new alerts of the group after 10m; repeated every 4h
  muted:    now, by window weekend

receiver:  responder
  route:    severity="warning" > rule_id="queue_long"
  channels: responder (webhook)
  group:    alertname='QueueLong', pipeline='nightly'
  timing:   after 30s; new alerts of the group after 5m; repeated every 4h
  muted:    now, by window weekend

inhibited: while TooSlow fires for the same pipeline"""
    )


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 2, 1, 1, 59, tzinfo=UTC), "not suppressed"),
        (
            datetime(2026, 2, 1, 2, 0, tzinfo=UTC),
            SILENCED + "2026-02-01T04:00+00:00",
        ),
        (
            datetime(2026, 7, 5, 1, 0, tzinfo=UTC),
            SILENCED + "2026-07-05T03:00+00:00",
        ),
        (datetime(2026, 7, 5, 3, 0, tzinfo=UTC), "not suppressed"),
    ],
    ids=["a minute before", "in winter", "in summer", "when it is over"],
)
def test_a_window_silences_at_its_local_time(moment: datetime, expected: str, made: Compilation) -> None:
    """03:00 in Berlin, the whole year."""
    assert explain(made, {"alertname": "TooSlow", "pipeline": "nightly"}, moment)[-1] == expected


def test_a_muted_route_is_reported(made: Compilation) -> None:
    """Saturday evening in Berlin, and a warning."""
    saturday = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)

    assert "  muted:    now, by window weekend" in explain(made, {"severity": "warning"}, saturday)


def test_wrong_use_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A label without a value."""
    assert main(["routes", "explain", "severity", "--root", str(HERE)]) == 2
    assert "'severity' is not a label" in capsys.readouterr().err
