"""The overview on the landing page."""

import time

import pytest

from jelmon import catalogue as c
from jelmon_exporter.collectors.probe_result import Result
from jelmon_exporter.serving.overview import overview
from jelmon_exporter.serving.view import View


def test_the_page_of_an_exporter_that_knows_nothing() -> None:
    page = overview(View(), {}, now=0)

    assert "No pipeline has sent events yet." in page
    assert "Services" not in page


def test_the_page_lists_targets_that_another_replica_probes() -> None:
    view = View()
    view.update("probes", {(c.TARGET_UP.name, ("up",)): 1, (c.TARGET_UP.name, ("<down>",)): 0})
    page = overview(view, {}, now=0)

    assert '<tr><td>&lt;down&gt;</td><td class="bad">down</td><td class="number">-</td></tr><tr><td>up</td>' in page


def test_the_page_stays_short() -> None:
    view = View()
    view.update("test", {(c.LAST_ACTIVITY.name, (f"p{number}",)): 1000.0 + number for number in range(50)})
    page = overview(view, {"b": Result(), "a<": Result(reason="tls")}, now=1100)

    assert page.count("<td>p") == 20
    assert page.index("<td>p49</td>") < page.index("<td>p48</td>")
    assert "and 30 more" in page
    assert page.index("a&lt;") < page.index("<td>b</td>")  # what is down comes first
    assert '<td class="bad">down: tls</td>' in page


@pytest.mark.parametrize("seconds", [0, 1, 119, 121, 7300, 200000])
def test_ages_are_told_in_words(seconds: float) -> None:
    view, now = View(), time.time()
    view.update("test", {(c.LAST_EVENT.name, ()): now - seconds})
    words = {0: "0 s", 1: "1 s", 119: "119 s", 121: "2 min", 7300: "2 h", 200000: "2 d"}

    assert f">{words[int(seconds)]} ago<" in overview(view, {}, now=now)
