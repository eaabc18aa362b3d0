"""`jelmon report`: one file that loads nothing and says what there is to say."""

import math
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.board.conftest import NOWHERE

from jelmon import cli
from jelmon.demo import servers
from jelmon.errors import SourceError
from jelmon_board.collection import Snapshot, SourceState
from jelmon_board.model import lines
from jelmon_board.model.episodes import Episode
from jelmon_board.model.lines import History
from jelmon_board.report.gather import Material, span_of
from jelmon_board.report.render import pdf, render
from jelmon_board.report.summary import alert_costs, sections

_NAME = "pay <b>"


def _episode(name: str, hours: float, *, level: int = 0, now: float) -> Episode:
    return Episode(
        name=name,
        severity="critical",
        pipeline=_NAME,
        stage="",
        starts=now - hours * 3600,
        ends=now - hours * 3600 + 1800,
        seconds=1800,
        is_firing=False,
        closed_by="resolved",
        level=level,
        notifications=1,
        labels={},
        annotations={},
    )


@pytest.fixture
def material() -> Material:
    now = time.time()
    span = span_of(7 * 86400)
    grid = {"start": now - span.seconds, "step": span.step}
    count = int(span.seconds / span.step) + 1
    severity = [100.0 if place % 2 else 10.0 for place in range(count)]
    return Material(
        snapshot=Snapshot(taken=now, sources={"Prometheus": SourceState(name="Prometheus", urls=(), ok=True)}),
        span=span,
        began=now - span.seconds,
        ended=now,
        histories={
            lines.VELOCITY.key: History(**grid, values={(_NAME,): [50.0] * count}),
            lines.PROCESSING.key: History(**grid, values={(_NAME,): [120.0, math.nan] * (count // 2)}),
            lines.STAGE_RUN.key: History(**grid, values={(_NAME, "build"): [60.0] * count}),
            lines.STAGE_SEVERITY.key: History(**grid, values={(_NAME, "build"): severity}),
        },
        before={
            lines.VELOCITY.key: {(_NAME,): 100.0},
            lines.PROCESSING.key: {(_NAME,): 118.0},
            lines.STAGE_RUN.key: {(_NAME, "build"): 40.0},
        },
        episodes=(
            _episode("PipelineStalled", 5, now=now),
            _episode("PipelineStalled", 50, now=now),
            _episode("PipelineStalled", 5, level=1, now=now),
            _episode("Watchdog", 100, now=now),
        ),
        problems=("the responder does not answer; start it",),
    )


def test_it_says_what_got_slower_what_limited_and_what_alerts_cost(material: Material) -> None:
    (section,) = sections(material)
    (cost,) = alert_costs(material)

    assert section.headline == "build takes 50 % longer; build limited it 50 % of the time"
    assert [(trend.line.key, trend.is_worse) for trend in section.trends] == [("velocity", True), ("processing", False)]
    assert (cost.name, cost.count, round(cost.seconds), cost.escalated) == ("PipelineStalled", 2, 3600, 1)


def test_the_file_escapes_names_and_loads_nothing(material: Material) -> None:
    text = render(material)

    assert "pay &lt;b&gt;" in text
    assert "pay <b>" not in text
    assert re.findall(r"(?:src|href)=\"|url\(|@import|<script", text) == []
    assert "default-src &#39;none&#39;; style-src &#39;sha256-" in text
    assert "the responder does not answer" in text
    assert text.count("<svg") == 3  # two lines and the heat map


def test_it_is_printed_by_chromium(
    material: Material, tool: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tool("chromium")
    for name, value in servers.environment(program).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    html, target = tmp_path / "report.html", tmp_path / "report.pdf"
    html.write_text(render(material), encoding="utf-8")
    pdf(html, target)

    assert target.read_bytes().startswith(b"%PDF-")


def test_without_chromium_a_pdf_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SourceError, match="a PDF needs Chromium") as caught:
        pdf(tmp_path / "report.html", tmp_path / "report.pdf")
    assert "apt install chromium" in caught.value.hint


def test_without_any_service_it_names_each_and_fails(tmp_path: Path) -> None:
    nowhere = [
        f"--{name}.url={NOWHERE}" for name in ("exporter", "analyzer", "responder", "prometheus", "alertmanager")
    ]
    target = tmp_path / "report.html"

    assert cli.main(["report", "-o", str(target), *nowhere]) == 1
    assert target.read_text().count("does not answer") >= 5


@pytest.mark.parametrize("since", ["1m", "400d", "week"])
def test_a_span_that_makes_no_sense_is_refused(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", "--since", since]) == 2
    assert "--since" in capsys.readouterr().err
