"""Contention for system resources."""

import pytest

from jelmon_analyzers.bottleneck.verdict.resource_contention import ResourceContention


def test_contention_is_the_share_of_the_waiting_while_a_resource_is_saturated() -> None:
    """Three cards waited while the CPU was hot, one while it was not; what is older than the window is forgotten."""
    contention = ResourceContention(window_seconds=100)
    contention.update(0, {"a": 50}, {"cpu": 0.1, "io": 0.1})
    contention.update(110, {"a": 3, "b": 0}, {"cpu": 0.95, "io": 0.5})
    contention.update(120, {"a": 1}, {"cpu": 0.85, "io": 0.5})

    assert contention.ratios("a") == {"cpu": pytest.approx(0.75), "io": 0.0}
    assert contention.ratios("b") == {}
