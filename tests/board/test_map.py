"""The map of a pipeline, from what the exporter and the analyzers expose."""

from xml.etree import ElementTree

from jelmon_board.charts.pipeline_map import pipeline_map
from jelmon_board.model import lines
from jelmon_board.model.pipelines import Latest, flows, pipelines, stages
from jelmon_board.model.samples import Samples
from jelmon_board.sources.exposition import parse

_PAGE = """
jelmore_stage_position{pipeline="p",stage="build"} 1
jelmore_stage_position{pipeline="p",stage="<script>&"} 2
jelmore_stage_position{pipeline="p",stage="deploy"} 3
jelmore_stage_queue_depth{pipeline="p",stage="<script>&"} 30
jelmore_stage_runs_in_progress{pipeline="p",stage="<script>&"} 2
jelmore_stage_workers{pipeline="p",stage="<script>&"} 2
jelmore_stage_held_up{pipeline="p",stage="build"} 1
jelmore_cards_in_progress{pipeline="p"} 3
jelmore_bottleneck_severity_score{pipeline="p",stage="<script>&"} 90
jelmore_bottleneck_gain_seconds{pipeline="p",stage="<script>&"} 12
jelmore_bottleneck_info{pipeline="p",stage="<script>&",state="growing",cause="utilisation"} 1
"""
_LATEST: Latest = {
    lines.TRANSITIONS.key: {
        ("p", "build", "<script>&"): 50.0,
        ("p", "build", "deploy"): 5.0,
        ("p", "deploy", "build"): 2.0,
        ("other", "build", "deploy"): 9.0,
    }
}


def _samples() -> Samples:
    return parse(_PAGE, {line.partition("{")[0] for line in _PAGE.split("\n")})


def test_the_map_is_well_formed_escapes_names_and_shows_order_limit_and_ways() -> None:
    own = stages(_samples(), _LATEST, (), "p", 1000.0)
    for upright in (False, True):
        drawing = pipeline_map(own, flows(_LATEST, "p"), upright=upright)
        root = ElementTree.fromstring(str(drawing))
        links = [link.findtext("title", "") for link in root.iter("a")]

        assert "<script" not in str(drawing)
        assert [words.partition(":")[0] for words in links] == ["Stage build", "Stage <script>&", "Stage deploy"]
        assert "it limits the pipeline" in links[1]
        assert "blocked: next queue full" in links[0]
        assert len([path for path in root.iter("path") if "flow" in path.get("class", "")]) == 3
        assert len([path for path in root.iter("path") if path.get("class") == "edge back"]) == 1


def test_the_limiting_stage_makes_the_state_of_its_pipeline() -> None:
    (row,) = pipelines(_samples(), _LATEST, (), {}, 1000.0)

    assert (row.state, row.tone) == ("limited", "bad")
    assert row.limit is not None
    assert (row.limit.stage, row.limit.cause, row.limit.gain_seconds) == ("<script>&", "utilisation", 12)
