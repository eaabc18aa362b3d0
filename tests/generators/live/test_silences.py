"""Windows become silences: which ones, when, and that a real Alertmanager ends up with just those."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jelmon.cli import main
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.errors import SourceError
from jelmon_generators.compiler import compile_bundle
from jelmon_generators.live import http_api
from jelmon_generators.live.explain import explain
from jelmon_generators.live.silences import Alertmanager, desired, plan

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def alertmanager(tool: Callable[[str], Path], tmp_path: Path) -> Iterator[str]:
    """A fresh Alertmanager; its URL."""
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    with Processes(tmp_path / "logs") as processes:
        yield launch.alertmanager(processes, tool("alertmanager"), tmp_path / "data", config)


def test_every_occurrence_within_the_horizon_is_asked_for(bundle: Path) -> None:
    """In UTC; windows over a route are no silences."""
    wanted = desired(compile_bundle(bundle).bundle.windows.values(), NOW, WEEK)

    assert {tag: (one["startsAt"], one["endsAt"]) for tag, one in wanted.items()} == {
        "nightly_upgrade:20260201T020000Z": ("2026-02-01T02:00:00Z", "2026-02-01T04:00:00Z"),
        "move:20260201T220000Z": ("2026-02-01T22:00:00Z", "2026-02-02T02:00:00Z"),
    }
    silence = wanted["move:20260201T220000Z"]
    assert silence["comment"] == "Move to the new rack (operations) [jelmore:move:20260201T220000Z/20260202T020000Z]"
    assert [(one["name"], one["value"]) for one in silence["matchers"]] == [
        ("pipeline", "checkout"),
        ("stage", "tests"),
    ]


def test_an_open_window_counts_a_closed_one_does_not(bundle: Path) -> None:
    """The edges belong to neither."""
    windows = compile_bundle(bundle).bundle.windows.values()
    opens, closes = datetime(2026, 2, 1, 22, tzinfo=UTC), datetime(2026, 2, 2, 2, tzinfo=UTC)

    def asked(moment: datetime) -> bool:
        return "move:20260201T220000Z" in desired(windows, moment, timedelta(seconds=1))

    assert [asked(opens - timedelta(seconds=1)), asked(opens), asked(closes - timedelta(seconds=1)), asked(closes)] == [
        False,
        True,
        True,
        False,
    ]


def test_sync_twice_makes_each_silence_once(bundle: Path, alertmanager: str) -> None:
    """Then a window gets longer, one goes, a stranger's silence stays."""
    client = Alertmanager(alertmanager)
    now = datetime.now(UTC).replace(microsecond=0)
    text = (bundle / "rules/windows.yaml").read_text()
    soon = now + timedelta(hours=1)
    text = text.replace("2026-02-01 22:00", f"{soon:%Y-%m-%d %H:%M}")
    text = text.replace("2026-02-02 02:00", f"{soon + timedelta(hours=2):%Y-%m-%d %H:%M}")
    (bundle / "rules/windows.yaml").write_text(text)
    arguments = ["--root", str(bundle), "--alertmanager.url", alertmanager]
    list(client.carry_out(plan({"x:1": _stranger(now)}, [], now)))

    def active() -> dict[str, str]:
        return {
            one["comment"]: one["endsAt"]
            for one in client.silences()
            if one["status"]["state"] in ("active", "pending")
        }

    assert main(["silences", "plan", *arguments]) == 1
    assert main(["silences", "sync", *arguments]) == 0
    first = active()
    assert main(["silences", "sync", *arguments]) == 0
    assert main(["silences", "plan", *arguments]) == 0
    assert active() == first
    assert len(first) == 3  # the stranger's, the move, the next Sunday

    longer = text.replace("duration: 2h", "duration: 3h").split("  move:")
    (bundle / "rules/windows.yaml").write_text(longer[0] + "  weekend:" + longer[1].split("  weekend:")[1])
    assert main(["silences", "sync", *arguments]) == 0
    second = active()
    assert sorted(comment.split(" ")[0] for comment in second) == ["Database", "by"]
    assert main(["silences", "plan", *arguments]) == 0


def test_an_alert_may_choose_its_windows(bundle: Path, alertmanager: str) -> None:
    """One is told in every window, one only in the other; the real Alertmanager keeps to it, and to what changes."""
    alerts = bundle / "rules/alerts/all.yaml"
    plain = alerts.read_text()
    text = plain.replace("  - rule_id: queue_long\n", "  - rule_id: queue_long\n    windows: []\n")
    text = text.replace("  - rule_id: too_slow\n", "  - rule_id: too_slow\n    windows: [move]\n")
    alerts.write_text(text)
    begun = datetime.now(UTC) - timedelta(minutes=10)
    windows = bundle / "rules/windows.yaml"
    ends = "2026-02-01 22:00\n    ends: 2026-02-02 02:00"
    windows.write_text(windows.read_text().replace(ends, f"{begun:%Y-%m-%d %H:%M}\n    duration: 1h"))
    arguments = ["--root", str(bundle), "--alertmanager.url", alertmanager]

    assert main(["silences", "sync", *arguments]) == 0
    assert main(["silences", "plan", *arguments]) == 0, "kept as they are"
    api = http_api.alertmanager(alertmanager)
    now = datetime.now(UTC)
    scope = {"pipeline": "checkout", "stage": "tests"}
    body = [
        {"labels": {"alertname": name, "rule_id": name, **scope}, "startsAt": now.isoformat()}
        for name in ("queue_long", "too_slow", "another")
    ]
    api.call("POST", "/api/v2/alerts", json.dumps(body).encode())
    silenced = {
        one["labels"]["rule_id"]: bool(one["status"]["silencedBy"])
        for one in api.get("/api/v2/alerts?active=true&silenced=true")
    }
    assert silenced == {"queue_long": False, "too_slow": True, "another": True}

    made = compile_bundle(bundle)
    del silenced["another"]  # `explain` knows only alerts that are defined
    said = {name: "\n".join(explain(made, {"rule_id": name, **scope}, now).lines) for name in silenced}
    assert {name: "by window move" in text for name, text in said.items()} == silenced
    nightly = desired(made.bundle.windows.values(), NOW, WEEK)["nightly_upgrade:20260201T020000Z"]
    assert nightly["matchers"][-1]["value"] == "queue_long|too_slow"

    alerts.write_text(plain)
    assert main(["silences", "sync", *arguments]) == 0
    assert all(len(one["matchers"]) == 2 for one in _active(alertmanager) if "move" in one["comment"])


def _active(alertmanager: str) -> list[dict[str, Any]]:
    return [one for one in Alertmanager(alertmanager).silences() if one["status"]["state"] == "active"]


def _stranger(now: datetime) -> dict[str, object]:
    return {
        "matchers": [{"name": "a", "value": "b", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + WEEK).isoformat(),
        "createdBy": "somebody",
        "comment": "by hand",
    }


def test_an_open_occurrence_is_not_made_again(bundle: Path, alertmanager: str) -> None:
    """Alertmanager sets a start in the past to the moment of creation; that is no difference."""
    now = datetime.now(UTC).replace(microsecond=0, second=0)
    windows = bundle / "rules/windows.yaml"
    begun = now - timedelta(minutes=10)
    windows.write_text(
        windows.read_text().replace(
            "2026-02-01 22:00\n    ends: 2026-02-02 02:00", f"{begun:%Y-%m-%d %H:%M}\n    duration: 1h"
        )
    )
    arguments = ["--root", str(bundle), "--alertmanager.url", alertmanager]

    assert main(["silences", "sync", *arguments]) == 0
    assert main(["silences", "plan", *arguments]) == 0


def test_a_silence_made_twice_by_two_at_once_is_expired(bundle: Path) -> None:
    """Keep one."""
    wanted = desired(compile_bundle(bundle).bundle.windows.values(), NOW, WEEK)
    have = [{**silence, "id": name, "status": {"state": "pending"}} for silence in wanted.values() for name in "ab"]

    steps = plan(wanted, have, NOW)

    assert [(step.action, step.silence["id"]) for step in steps if step.tag.startswith("move")] == [
        ("expire", "b"),
        ("keep", "a"),
    ]


def test_no_alertmanager_is_one_clear_message(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback."""
    code = main(["silences", "plan", "--root", str(bundle), "--alertmanager.url", "http://127.0.0.1:9"])

    assert code == SourceError.exit_code
    assert "Alertmanager at http://127.0.0.1:9 does not answer" in capsys.readouterr().err


def test_a_silence_ended_by_hand_is_not_created_again(
    bundle: Path, alertmanager: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An open one and one that is still to come; `plan` reports both, until somebody asks for them again."""
    begun = datetime.now(UTC) - timedelta(minutes=10)
    windows = bundle / "rules/windows.yaml"
    ends = "2026-02-01 22:00\n    ends: 2026-02-02 02:00"
    windows.write_text(windows.read_text().replace(ends, f"{begun:%Y-%m-%d %H:%M}\n    duration: 1h"))
    arguments = ["--root", str(bundle), "--alertmanager.url", alertmanager]
    api = http_api.alertmanager(alertmanager)

    def states(label: str) -> list[str]:
        return sorted(
            one["status"]["state"]
            for one in Alertmanager(alertmanager).silences()
            if any(matcher["name"] == label for matcher in one["matchers"])
        )

    def end(label: str) -> None:
        for one in Alertmanager(alertmanager).silences():
            if one["status"]["state"] != "expired" and any(matcher["name"] == label for matcher in one["matchers"]):
                api.call("DELETE", f"/api/v2/silence/{one['id']}")

    assert main(["silences", "sync", *arguments]) == 0
    assert states("pipeline") == ["active", "pending"]
    end("pipeline")
    capsys.readouterr()

    assert main(["silences", "plan", *arguments]) == 1
    assert capsys.readouterr().out.count("ended by hand") == 2
    for _ in range(2):
        assert main(["silences", "sync", *arguments]) == 0
        assert states("pipeline") == ["expired", "expired"]
        assert states("jelmon_ended_by_hand") == ["active", "pending"]
    assert main(["silences", "plan", *arguments]) == 0, "remembered, without the ended silences as well"
    assert capsys.readouterr().out.count("ended by hand") >= 2

    end("jelmon_ended_by_hand")
    assert main(["silences", "sync", *arguments]) == 0
    assert states("pipeline") == ["active", "expired", "expired", "pending"]
    end("pipeline")
    assert main(["silences", "sync", *arguments]) == 0
    assert states("pipeline") == ["expired"] * 4


def test_a_window_that_comes_back_is_silenced_again(bundle: Path, alertmanager: str) -> None:
    """We expired its silence, and nobody by hand."""
    arguments = ["--root", str(bundle), "--alertmanager.url", alertmanager]
    windows = bundle / "rules/windows.yaml"
    text = windows.read_text()
    assert main(["silences", "sync", *arguments]) == 0
    windows.write_text(text.replace("  nightly_upgrade:", "  other_upgrade:"))
    assert main(["silences", "sync", *arguments]) == 0
    windows.write_text(text)
    assert main(["silences", "sync", *arguments]) == 0

    pending = [one for one in Alertmanager(alertmanager).silences() if one["status"]["state"] == "pending"]
    assert ["nightly_upgrade" in one["comment"] for one in pending] == [True]


def test_a_window_that_is_prolonged_after_its_end_is_silenced_again(bundle: Path) -> None:
    """Its silence ended when it was planned to end."""
    windows = compile_bundle(bundle).bundle.windows.values()
    old = desired(windows, NOW, WEEK)["move:20260201T220000Z"]
    ended = {**old, "id": "a", "endsAt": "2026-02-02T02:00:00.000Z", "status": {"state": "expired"}}
    longer = {"move:20260201T220000Z": {**old, "endsAt": "2026-02-02T04:00:00Z"}}

    assert [step.action for step in plan(longer, [ended], NOW)] == ["create"]
