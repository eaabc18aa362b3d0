"""Lines: the query for Prometheus and the embedded store mean the same."""

import math

import pytest
from promql_parser import parse as parse_promql

from jelmon_board.model import lines
from jelmon_board.model.lines import DAY, HOUR, LINES, Line
from jelmon_board.sources.embedded import EmbeddedLines
from jelmon_board.sources.exposition import parse

_NAMES = {series for line in LINES for series in line.metric.series}
_START = 1_700_000_000.0 // 300 * 300


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.key)
@pytest.mark.parametrize("step", [30.0, 300.0])
def test_every_query_is_promql(line: Line, step: float) -> None:
    assert parse_promql(line.promql(window=300, step=step, pipelines=['a"b\\c.*|{}', "d"]))


def test_a_name_in_a_query_matches_only_itself() -> None:
    query = lines.VELOCITY.promql(window=300, pipelines=['a"} or up{x="', "b.c"])

    assert r'pipeline=~"a\"\\} or up\\{x=\"|b\\.c"' in query


async def test_the_embedded_store_computes_rates_means_shares_and_ages() -> None:
    store = EmbeddedLines()
    for tick in range(41):  # ten minutes
        now = _START + 15 * tick
        page = f"""
jelmore_cards_finished_total{{pipeline="p",outcome="success",instance="a"}} {tick * 3}
jelmore_cards_finished_total{{pipeline="p",outcome="success",instance="b"}} {tick * 3}
jelmore_cards_finished_total{{pipeline="p",outcome="failure",instance="a"}} {tick}
jelmore_card_processing_seconds_sum{{pipeline="p",outcome="success"}} {tick * 30}
jelmore_card_processing_seconds_count{{pipeline="p",outcome="success"}} {tick * 3}
jelmore_pipeline_last_activity_timestamp_seconds{{pipeline="p"}} {_START}
jelmore_stage_queue_depth{{pipeline="p",stage="s"}} {tick % 4}
"""
        store.add(parse(page, _NAMES), now)

    assert await store.latest(lines.VELOCITY) == {("p",): pytest.approx(4 * 4 * 60)}
    assert await store.latest(lines.FAILED) == {("p",): pytest.approx(0.25)}
    assert await store.latest(lines.PROCESSING) == {("p",): pytest.approx(10)}
    assert await store.latest(lines.STAGE_QUEUE) == {("p", "s"): 0}
    hour, day = await store.history(lines.IDLE_AGE, HOUR), await store.history(lines.IDLE_AGE, DAY)
    assert hour.of("p")[-1] == pytest.approx(600, abs=20)
    assert hour.start + hour.step * (len(hour.of("p")) - 1) == _START + 600
    assert [value for value in day.of("p") if value == value] == pytest.approx([300, 600, 900], abs=1)


async def test_a_counter_that_starts_anew_has_no_negative_rate() -> None:
    store = EmbeddedLines()
    for tick, total in enumerate([100, 110, 3, 13]):
        page = f'jelmore_cards_finished_total{{pipeline="p",outcome="success"}} {total}'
        store.add(parse(page, _NAMES), _START + 15 * tick)
    history = await store.history(lines.VELOCITY, HOUR)

    known = [value for value in history.of("p") if not math.isnan(value)]
    assert known == pytest.approx([2400, 2400])


async def test_the_embedded_store_is_bounded_and_forgets() -> None:
    store = EmbeddedLines(most_series=50)
    page = "\n".join(f'jelmore_stage_queue_depth{{pipeline="p{n}",stage="s"}} 1' for n in range(80))
    store.add(parse(page, _NAMES), _START)

    assert (store.series, store.dropped) == (50, 30)
    store.add(parse("", _NAMES), _START + 2 * 86400)
    assert store.series == 0
    store.add(parse(page, _NAMES), _START)  # the clock went back
    assert store.series == 50
