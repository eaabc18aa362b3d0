"""The promtool tests that a changed rule can fail, without everything else, the quickest first.

A change of one rule is seen only in what reads it. So of every test file the checks of those series are kept, of the
rules what those checks need, and of promtool's time a fraction.
"""

import copy
import math
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as parser
import yaml

from support.rule_mutants import Mutant, seconds

_LEAST_COST = 1500.0  # evaluations of a rule, about as long as promtool takes to start
_ENVIRONMENT = {"GOMAXPROCS": "1", "GOGC": "400"}  # one process for each core, in less CPU time


class Case(NamedTuple):
    """One ``tests:`` entry of a file."""

    interval: str
    content: dict[str, Any]
    checked: frozenset[str]  # the queries of its checks


class Tests:
    """All test files of a folder."""

    def __init__(self, folder: Path, most: float = math.inf) -> None:
        """``most``: leave out cases that evaluate rules more often."""
        self._most = most
        self._cases: dict[str, list[Case]] = {}
        for path in sorted(folder.rglob("*.y*ml")):
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
            for case in content["tests"]:
                queries = frozenset(query for part in _CHECKS for query in map(_query, case.get(part, ())))
                for file in content["rule_files"]:
                    made = Case(content["evaluation_interval"], case, queries)
                    self._cases.setdefault(Path(file).name, []).append(made)

    def notice(self, promtool: Path, mutant: Mutant) -> bool:
        """Return whether one of them fails on the mutant."""
        rules = _Rules(mutant)
        batch: list[Case] = []
        spent, limit = 0.0, _LEAST_COST
        for cost, case in sorted(self._touched(rules, mutant.file), key=lambda one: one[0]):
            if batch and spent + cost > limit:
                if _fail(promtool, rules, batch):
                    return True
                batch, spent, limit = [], 0.0, max(limit, spent)
            batch.append(case)
            spent += cost
        return bool(batch) and _fail(promtool, rules, batch)

    def _touched(self, rules: "_Rules", file: str) -> Iterator[tuple[float, Case]]:
        """Yield what is left of every case, with its cost."""
        for case in self._cases.get(file, ()):
            if not any(rules.affects(query) for query in case.checked):
                continue
            content = dict(case.content)
            for part in _CHECKS:
                content[part] = [check for check in case.content.get(part, ()) if rules.affects(_query(check))]
            last = max(seconds(str(check["eval_time"])) for part in _CHECKS for check in content[part])
            cost = last / seconds(case.interval) * len(rules.needed)
            if cost <= self._most:
                yield cost, Case(case.interval, content, case.checked)


_CHECKS = ("promql_expr_test", "alert_rule_test")


def _query(check: Mapping[str, Any]) -> str:
    return str(check["expr"]) if "expr" in check else f'ALERTS{{alertname="{check["alertname"]}"}}'


def _fail(promtool: Path, rules: "_Rules", batch: Iterable[Case]) -> bool:
    by_interval: dict[str, list[dict[str, Any]]] = {}
    for case in batch:
        by_interval.setdefault(case.interval, []).append(case.content)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(rules.text)
        files = []
        for place, (interval, cases) in enumerate(by_interval.items()):
            files.append(folder / f"test-{place}.yml")
            content = {"rule_files": ["rules.yml"], "evaluation_interval": interval, "tests": cases}
            files[-1].write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, width=100_000))
        command: list[str | Path] = [promtool, "test", "rules", *files]
        return bool(subprocess.run(command, capture_output=True, check=False, env=os.environ | _ENVIRONMENT).returncode)


class _Rules:
    """The rules that a mutant changes, directly or by what they read, and those that they need."""

    def __init__(self, mutant: Mutant) -> None:
        self._changed = {mutant.place: (_written(mutant.before), _written(mutant.after))}
        rules = [
            (place, mutant.after if place == mutant.place else rule) for place, rule in enumerate(mutant.group["rules"])
        ]
        self._affected = [*self._changed[mutant.place]]
        waiting = [(place, rule) for place, rule in rules if place != mutant.place]
        while more := [(place, rule) for place, rule in waiting if self.affects(rule["expr"])]:
            self._affected += [_written(rule) for _, rule in more]
            waiting = [one for one in waiting if one not in more]
        kept = {place for place, rule in rules if any(one == _written(rule) for one in self._affected)}
        while (more_kept := _with_what_they_read(rules, kept)) != kept:
            kept = more_kept
        self.needed = [rule for place, rule in rules if place in kept]
        group = {**mutant.group, "rules": copy.deepcopy(self.needed)}
        self.text = yaml.dump({"groups": [group]}, Dumper=yaml.CSafeDumper, width=100_000)

    def affects(self, query: str) -> bool:
        """Return whether a query reads what one of the changed rules writes."""
        return any(_reads(selector, written) for selector in _selectors(query) for written in self._affected)


def _with_what_they_read(rules: list[tuple[int, dict[str, Any]]], kept: set[int]) -> set[int]:
    reads = [selector for place, rule in rules if place in kept for selector in _selectors(rule["expr"])]
    return kept | {place for place, rule in rules if any(_reads(one, _written(rule)) for one in reads)}


Labels = Mapping[str, str]


def _written(rule: Mapping[str, Any]) -> Labels:
    """Return the labels that are known of the series that a rule writes."""
    labels = {name: value for name, value in rule.get("labels", {}).items() if "{{" not in value}
    if "alert" in rule:
        return {"escalation_level": "", **labels, "__name__": "ALERTS", "alertname": rule["alert"]}
    return {**labels, "__name__": rule["record"]}


@cache
def _selectors(query: str) -> tuple[tuple[tuple[str, str, str], ...], ...]:
    """Return the matchers of every selector, as (label, operator, value)."""
    found = []

    def visit(node: Any) -> None:
        if isinstance(node, parser.VectorSelector):
            name = [("__name__", "=", node.name)] if node.name else []
            matchers = [(one.name, _OPERATORS[str(one.op)], one.value) for one in node.matchers.matchers]
            found.append((*name, *matchers))
        for part in ("expr", "lhs", "rhs", "vector_selector", "selector", "param"):
            if (child := getattr(node, part, None)) is not None:
                visit(child)
        for child in getattr(node, "args", ()):
            visit(child)

    visit(parser.parse(query))
    return tuple(found)


_OPERATORS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


def _reads(selector: Iterable[tuple[str, str, str]], written: Labels) -> bool:
    for label, operator, value in selector:
        if label not in written:  # whatever it is
            continue
        equal = written[label] == value if "~" not in operator else re.fullmatch(value, written[label]) is not None
        if equal is ("!" in operator):
            return False
    return True
