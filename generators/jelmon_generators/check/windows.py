"""Maintenance windows: they match labels that alerts have. Their shape is checked when they are read."""

from collections.abc import Sequence

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.check.routes import ROUTE_LABELS
from jelmon_generators.checks import WINDOW_LABEL
from jelmon_generators.compile.rules import Compiled
from jelmon_generators.model.definitions import Bundle
from jelmon_generators.model.underline import underlined


def check(bundle: Bundle, compiled: Sequence[Compiled]) -> None:
    """Report matchers that no alert can satisfy."""
    labels = ROUTE_LABELS.union(*(alert.expression.labels for alert in compiled))
    for window in bundle.windows.values():
        for label, _ in window.matchers:
            if label not in labels:
                WINDOW_LABEL.report(
                    underlined(window.fields.at("matchers"), label),
                    f"no alert has a label {label!r}",
                    hint=did_you_mean(label, labels),
                )
