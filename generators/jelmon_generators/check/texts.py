"""What an alert says and asks for: labels in its texts exist, templates are closed, actions have valid names."""

import re
from collections.abc import Sequence

from jelmon.config.strict_yaml import did_you_mean
from jelmon_generators.checks import ACTION, TEXT
from jelmon_generators.compile.rules import Compiled
from jelmon_generators.model.underline import underlined

_TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
_ACTION = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def check(compiled: Sequence[Compiled]) -> None:
    """Report faulty texts and actions."""
    for one in compiled:
        _check_texts(one)
        for action in one.alert.auto_actions:
            if not _ACTION.fullmatch(action):
                ACTION.report(
                    underlined(one.alert.fields.at("auto_actions"), action),
                    f"{action!r} is not a valid action name",
                    hint="use lower-case letters and '_', for example scale_up",
                )


def _check_texts(one: Compiled) -> None:
    labels = one.expression.labels | one.rules[0].labels.keys()
    for name, text in (("summary", one.alert.summary), ("description", one.alert.description)):
        for label in _TEMPLATE_LABEL.findall(text):
            if label not in labels:
                TEXT.report(
                    underlined(one.alert.fields.at(name), label),
                    f"{name}: the alert has no label {label!r}",
                    hint=did_you_mean(label, labels, otherwise=f"its labels: {', '.join(sorted(labels))}"),
                )
        if text.count("{{") != text.count("}}"):
            TEXT.report(one.alert.fields.at(name), f"{name}: a template is not closed")
