"""Rules of Prometheus from their files, in the order in which they can be evaluated over the past.

Over the past, a rule sees what another one records only after that is written: rules go level by level. (`promtool tsdb
create-blocks-from rules` must be run once for each level, and ignores alerts.)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from jelmon.config.settings import parse_duration
from jelmon.errors import DefinitionError, Problem

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: it records under ``name``, or is the alert of that name."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    alert: bool = False
    for_seconds: float = 0.0
    keep_firing_seconds: float = 0.0


def load(paths: Iterable[Path]) -> list[Rule]:
    """Return the rules of files.

    Raises:
        DefinitionError: a file cannot be read, or a rule is not one; lists all problems.
    """
    rules: list[Rule] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            for group in content["groups"]:
                rules += [_rule(rule) for rule in group.get("rules") or ()]
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(path), 0, f"cannot be read: {error}"))
        except yaml.YAMLError as error:
            problems.append(Problem(str(path), 0, f"invalid YAML: {str(error).splitlines()[0]}"))
        except Exception as error:  # whatever form it has: promtool says what is wrong with it
            detail = f"{type(error).__name__}: {error}"
            problems.append(Problem(str(path), 0, f"not a file of rules: {detail}", "try `promtool check rules`"))
    if problems:
        raise DefinitionError(problems)
    return rules


def levels(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Return the rules so that each reads only what earlier levels record.

    Alerts come last, so that rules which read ``ALERTS`` see none. A rule that needs its own results is left out: it
    would have to be evaluated moment by moment.
    """
    reads: dict[str, set[str]] = {}
    for rule in rules:
        if not rule.alert:
            reads.setdefault(rule.name, set()).update(_NAME.findall(rule.expr))
    left, ordered = set(reads), []
    while ready := {name for name in left if not reads[name] & left}:
        ordered.append([rule for rule in rules if not rule.alert and rule.name in ready])
        left -= ready
    alerts = [rule for rule in rules if rule.alert and not left.intersection(_NAME.findall(rule.expr))]
    return [*ordered, alerts] if alerts else ordered


def _rule(rule: Mapping[str, Any]) -> Rule:
    is_alert = "alert" in rule
    return Rule(
        name=str(rule["alert" if is_alert else "record"]),
        expr=str(rule["expr"]),
        labels={str(name): str(value) for name, value in (rule.get("labels") or {}).items()},
        alert=is_alert,
        for_seconds=_seconds(rule.get("for")),
        keep_firing_seconds=_seconds(rule.get("keep_firing_for")),
    )


def _seconds(duration: Any) -> float:
    text = str(duration or "0s")
    return 0.0 if text in ("0", "0s") else parse_duration(text, name="for")
