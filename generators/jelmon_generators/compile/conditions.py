"""Conditions to PromQL. Every signal is asked for by its recorded name, so that each alert can be tested by itself."""

from jelmon_generators.compile import regression
from jelmon_generators.model.definitions import Absent, Combined, Compare, Condition, Outside, Regression
from jelmon_generators.model.known import Known
from jelmon_generators.promql.expressions import NOT_FOR_MATCHING, Expression, number, on, shared


def compile_condition(condition: Condition, known: Known) -> Expression:
    """The condition as an expression that yields a series exactly while it holds."""
    match condition:
        case Compare():
            return _compare(condition, known)
        case Outside():
            record = known.records[condition.signal]
            text = f"{record} < {number(condition.low)} or {record} > {number(condition.high)}"
            return Expression(f"({text})", known.labels[condition.signal])
        case Absent():
            return Expression(f"absent({known.records[condition.signal]})", frozenset())
        case Regression():
            return regression.expression(condition, known)
        case Combined():
            return _combined(condition, known)


def excluded(expression: Expression, reasons: list[Expression]) -> Expression:
    """The expression, except where one of the reasons holds for the same labels."""
    text = expression.text
    for reason in reasons:
        text += f"\nunless {on(shared(expression.labels, reason.labels))}\n  {_indented(_grouped(reason.text))}"
    return Expression(text, expression.labels)


def _grouped(text: str) -> str:
    return text if text.startswith("(") and _closes_at_end(text) else f"({text})"


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _compare(condition: Compare, known: Known) -> Expression:
    record, labels = known.records[condition.signal], known.labels[condition.signal]
    plain = f"{record} {condition.operator.symbol} {number(condition.threshold)}"
    special: list[tuple[frozenset[str], str]] = []  # (labels to match by, thresholds as a vector), first wins
    by_labels: dict[frozenset[str], list[str]] = {}
    for override in condition.overrides:
        vector = f"vector({number(override.threshold)})"
        for name, value in override.labels:
            vector = f'label_replace({vector}, "{name}", "{value}", "", "")'
        by_labels.setdefault(frozenset(name for name, _ in override.labels), []).append(vector)
    for names, vectors in sorted(by_labels.items(), key=lambda item: (-len(item[0]), sorted(item[0]))):
        special.append((names, vectors[0] if len(vectors) == 1 else f"({' or '.join(vectors)})"))
    if condition.threshold_from:
        names = known.metric_labels(condition.threshold_from) & labels - {"instance"}
        special.append((names, f"max by ({', '.join(sorted(names))}) ({condition.threshold_from})"))
    if not special:
        return Expression(plain, labels)
    arms, taken = [], ""
    for names, vector in special:
        arms.append(f"{record} {condition.operator.symbol} {on(names)} group_left () {vector}{taken}")
        taken += f"\n    unless {on(names)} {vector}"
    arms.append(f"{plain}{taken}")
    return Expression("(\n  " + "\nor\n  ".join(arms) + "\n)", labels)


def _combined(condition: Combined, known: Known) -> Expression:
    parts = [compile_condition(part, known) for part in condition.parts]
    labels = frozenset.intersection(*(part.labels for part in parts))
    keys = on(labels - NOT_FOR_MATCHING)
    if condition.kind == "n_of_m":
        names = ", ".join(sorted(labels - NOT_FOR_MATCHING))
        members = "\n  or\n".join(
            f'  label_replace(group by ({names}) ({part.text}), "condition", "{place}", "", "")'
            for place, part in enumerate(parts, 1)
        )
        return Expression(f"(count by ({names}) (\n{members}\n) >= {condition.least})", labels - NOT_FOR_MATCHING)
    word = "and" if condition.kind == "all" else "or"
    text = f"\n{word} {keys}\n  ".join(_indented(part.text) for part in parts)
    return Expression(f"(\n  {text}\n)", parts[0].labels if word == "and" else labels)
