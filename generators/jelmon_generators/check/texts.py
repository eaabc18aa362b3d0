"""What an alert says and asks for: texts are valid templates about labels that exist, actions have valid names."""

import re
from collections.abc import Mapping, Sequence

from jelmon.config.strict_yaml import Place
from jelmon_generators.checks import ACTION, TEXT
from jelmon_generators.compile.rules import Alerting, Compiled
from jelmon_generators.go_templates.fields import check_alert_text
from jelmon_generators.go_templates.lexer import LEFT, TemplateError
from jelmon_generators.model.definitions import Bundle
from jelmon_generators.model.underline import underlined
from jelmon_generators.promql.analysis import Analysis

_LABEL = re.compile(r"\$labels\.(\w+)")
_ACTION = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def check(bundle: Bundle, compiled: Sequence[Compiled], analyses: Mapping[str, Analysis]) -> None:
    """Report faulty texts and actions."""
    unknown = {name for name, analysis in analyses.items() if analysis.unknown}  # nobody knows their labels
    for one in compiled:
        fields = one.alert.fields
        base = next(rule for rule in one.rules if isinstance(rule, Alerting))
        for name, text in base.annotations.items():  # the labels of the rule itself are not among $labels
            tolerated = _LABEL.findall(text) if unknown.intersection(one.alert.signals) else ()
            _check_text(name, text, one.expression.labels.union(tolerated), fields.at(name))
        for name, value in base.labels.items():
            if LEFT in value:
                TEXT.report(
                    underlined(fields.at(name), value),
                    f"{name}: a label cannot be a template",
                    hint="the alert would be another one whenever it changes; say it in summary or description",
                )
        for action in one.alert.auto_actions:
            if not _ACTION.fullmatch(action):
                ACTION.report(
                    underlined(fields.at("auto_actions"), action),
                    f"{action!r} is not a valid action name",
                    hint="use lower-case letters and '_', for example scale_up",
                )
    for escalation in bundle.escalations.values():
        for level in escalation.levels:  # Prometheus expands it, like every annotation
            _check_text("escalate_to", level.escalate_to, frozenset(), level.fields.at("escalate_to"))


def _check_text(name: str, text: str, labels: frozenset[str], place: Place) -> None:
    try:
        check_alert_text(text, labels)
    except TemplateError as error:
        piece = error.piece.split("\n", 1)[0]
        TEXT.report(underlined(place, piece), f"{name}: {error.message}", hint=error.hint)
