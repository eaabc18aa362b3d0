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

    text = "\n".join(explain(made, {"alertname": "QueueLong", "pipeline": "nightly"}, sunday).lines)

    assert (
        text
        == """\
labels:    alertname="QueueLong", pipeline="nightly", rule_id="queue_long", severity="warning", team="platform"
at:        2026-02-01T21:00+00:00

receiver:  team-mail
  route:    rule_id=~"queue_long" escalation_level=""
  channels: team-mail (email)
  group:    all_in_one_group=''
  timing:   after 30s; new alerts of the group after 10m; repeated every 4h10m (first flush after more than 4h)
  muted:    now, by window weekend until 2026-02-02 06:00 Europe/Berlin (05:00 UTC)

receiver:  responder
  route:    severity="warning" > rule_id="queue_long"
  channels: responder (webhook)
  group:    alertname='QueueLong', pipeline='nightly'
  timing:   after 30s; new alerts of the group after 5m; repeated every 4h5m (first flush after more than 4h)
  muted:    now, by window weekend until 2026-02-02 06:00 Europe/Berlin (05:00 UTC)

inhibited: while TooSlow fires for the same pipeline

NOBODY IS NOTIFIED at that time"""
    )


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 2, 1, 1, 59, tzinfo=UTC), "not suppressed"),
        (
            datetime(2026, 2, 1, 2, 0, tzinfo=UTC),
            SILENCED + "2026-02-01 05:00 Europe/Berlin (04:00 UTC)",
        ),
        (
            datetime(2026, 7, 5, 1, 0, tzinfo=UTC),
            SILENCED + "2026-07-05 05:00 Europe/Berlin (03:00 UTC)",
        ),
        (datetime(2026, 7, 5, 3, 0, tzinfo=UTC), "not suppressed"),
    ],
    ids=["a minute before", "in winter", "in summer", "when it is over"],
)
def test_a_window_silences_at_its_local_time(moment: datetime, expected: str, made: Compilation) -> None:
    """03:00 in Berlin, the whole year."""
    assert expected in explain(made, {"alertname": "TooSlow", "pipeline": "nightly"}, moment).lines


def test_a_muted_route_is_reported(made: Compilation) -> None:
    """Saturday evening in Berlin, and a warning."""
    saturday = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)

    explanation = explain(made, {"severity": "warning"}, saturday)
    assert "  muted:    now, by window weekend until 2026-02-01 06:00 Europe/Berlin (05:00 UTC)" in explanation.lines
    assert explanation.lines[-1] == "NOBODY IS NOTIFIED at that time"
    assert not explanation.reaches_somebody


def test_wrong_use_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A label without a value."""
    assert main(["routes", "explain", "severity", "--root", str(HERE)]) == 2
    assert "'severity' is not a label" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["alertname=TooSlo"], "no alert has alertname='TooSlo'\n  hint: did you mean 'TooSlow'?"),
        (["rule_id=nope"], "no alert has rule_id='nope'"),
        (["alertname=TooSlow", "rule_id=queue_long"], "TooSlow has the rule_id 'too_slow'"),
        (["alertname=TooSlow", "piplin=checkout"], "no alert has a label 'piplin'\n  hint: did you mean 'pipeline'?"),
        (["severity=warning", "stag=tests"], "no alert has a label 'stag'\n  hint: did you mean 'stage'?"),
        (["alertname=TooSlow", "escalation_level=3"], "the escalation 'standard' has levels 1 to 2"),
        (["alertname=QueueLong", "escalation_level=1"], "the alert has no escalation"),
        (["escalation=standrd"], "no escalation 'standrd'\n  hint: did you mean 'standard'?"),
    ],
)
def test_what_does_not_exist_is_refused(labels: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With a suggestion: an explanation of another alert would be worse than none."""
    assert main(["routes", "explain", *labels, "--root", str(HERE)]) == 2
    assert message in capsys.readouterr().err


def test_every_level_has_its_time_and_channels(made: Compilation) -> None:
    """And what mutes or silences it then, in the zone of the window."""
    moment = datetime(2026, 2, 1, 1, 40, tzinfo=UTC)

    lines = explain(made, {"alertname": "TooSlow", "pipeline": "nightly"}, moment).lines

    start = lines.index(
        "level 1:   15m after it starts to fire, 2026-02-01T01:55+00:00 if that is now: on-call engineer"
    )
    assert lines[start : start + 5] == [
        lines[start],
        "  channels: responder (webhook), chat (slack)",
        "",
        "level 2:   30m after it starts to fire, 2026-02-01T02:10+00:00 if that is now: team lead",
        "  channels: responder (webhook), pager (pagerduty), genie (opsgenie)",
    ]
    assert (
        lines[start + 5]
        == "  silenced: then, by window nightly_upgrade until 2026-02-01 05:00 Europe/Berlin (04:00 UTC)"
    )


def test_nobody_is_said_loudly(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log is no notification; the exit code says it as well."""
    channels = bundle / "rules/channels.yaml"
    channels.write_text(channels.read_text().replace("everywhere: [responder]", "everywhere: [diary]"))

    assert main(["routes", "explain", "severity=info", "--root", str(bundle)]) == 1
    assert "NOBODY IS NOTIFIED at that time: no route of this alert has a channel other" in capsys.readouterr().out
    assert main(["routes", "explain", "alertname=TooSlow", "--root", str(bundle)]) == 0
    assert "NOBODY" not in capsys.readouterr().out
