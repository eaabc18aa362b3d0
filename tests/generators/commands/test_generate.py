"""``jelmon generate`` from the outside: exit codes, what is printed, what is written."""

from pathlib import Path

import pytest

from jelmon.cli import main


def test_generate_then_check_is_clean(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was just written is current; the second run changes nothing."""
    assert main(["generate", "--root", str(bundle)]) == 0
    capsys.readouterr()

    assert main(["generate", "--root", str(bundle), "--check"]) == 0
    assert capsys.readouterr().out == ""


def test_check_prints_the_drift_and_writes_nothing(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A threshold was changed and nobody generated."""
    main(["generate", "--root", str(bundle)])
    alerts = bundle / "rules/alerts/all.yaml"
    alerts.write_text(alerts.read_text().replace("threshold: 10", "threshold: 11"))
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    capsys.readouterr()

    assert main(["generate", "--root", str(bundle), "--check"]) == 1

    printed = capsys.readouterr()
    assert "-          jelmore:cards_per_hour < 10\n" in printed.out
    assert "+          jelmore:cards_per_hour < 11\n" in printed.out
    assert "are out of date: run `jelmon generate`" in printed.err
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before


def test_a_signal_that_went_takes_its_file_along(bundle: Path) -> None:
    """A rule file of a signal that is no more would go on alerting."""
    main(["generate", "--root", str(bundle)])
    alerts = bundle / "rules/alerts/all.yaml"
    alerts.write_text(alerts.read_text().split("  - rule_id: no_cpu_figures")[0])

    main(["generate", "--root", str(bundle)])

    folder = bundle / "deploy/prometheus/rules"
    assert sorted(path.name for path in folder.iterdir()) == [
        "cards_per_hour.yml",
        "maintenance-windows.yml",
        "queue_depth.yml",
        "rules-fingerprint.yml",
        "signals.yml",
        "slo_deliveries.yml",
    ]


def test_output_and_channel_url_serve_a_local_stack(bundle: Path, tmp_path: Path) -> None:
    """Files go elsewhere, and the webhook points to the stack's own port."""
    url = "http://127.0.0.1:19748/api/v1/alerts/webhook"

    code = main(["generate", "--root", str(bundle), "--output", str(tmp_path), "--channel-url", f"responder={url}"])

    assert code == 0
    assert f'url: "{url}"' in (tmp_path / "alertmanager/alertmanager.yml").read_text()
    assert not (bundle / "alertmanager").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--channel-url", "respnder=http://x"], "unknown channel 'respnder'"),
        (["--channel-url", "chat=http://x"], "channel 'chat' is not a webhook"),
        (["--channel-url", "responder"], "'responder' is not NAME=URL"),
        (["--root", "/nonexistent"], "no folder rules/ in /nonexistent"),
    ],
    ids=["an unknown channel", "a channel without an address", "no address", "no definitions"],
)
def test_wrong_use_exits_with_2(
    bundle: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message on stderr, no traceback."""
    assert main(["generate", "--root", str(bundle), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_our_own_files_are_current(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is committed was generated from what is committed."""
    code = main(["generate", "--root", str(root), "--check"])

    assert (code, capsys.readouterr().out) == (0, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prometheus=2", "'prometheus=2' is not a version"),
        ("prometheus=2.30", "Prometheus 2.30 is too old"),
        ("alertmanager=0.24", "Alertmanager 0.24 is too old"),
    ],
)
def test_a_target_that_nobody_can_render_for_is_refused(
    bundle: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version is two numbers, and not older than what escalation needs."""
    assert main(["generate", "--root", str(bundle), "--target", text]) == 2
    assert message in capsys.readouterr().err
