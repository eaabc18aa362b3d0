"""The table of strategies, read from hand-written YAML; every problem is reported with its line."""

import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jelmon.config import strict_yaml
from jelmon.config.strict_yaml import Fields
from jelmon.errors import DefinitionError, Problem
from jelmon_analyzers.bottleneck.replay.levers import Lever
from jelmon_analyzers.bottleneck.verdict.report import Cause, State

DEFAULT = Path(__file__).with_name("strategies.yaml")
KINDS = ("bottleneck", "regression", "driver")
REGRESSION_STATES = ("early_warning", "severe")
DRIVER_CAUSES = ("wait", "run", "retries", "tests", "host")
ACTIONS = ("scale_up", "enable_throttling", "restart_pipeline", "check_dependencies")
WORDS = frozenset(
    {
        *("stage", "pipeline", "where", "severity", "utilisation", "workers", "waiting", "impact"),
        *("signal", "moved", "change", "driver", "share"),
    }
)
_AT_LEAST = ("severity", "utilisation", "contention", "cascade", "change", "share")
_STATES = {"bottleneck": tuple(state.value for state in State), "regression": REGRESSION_STATES, "driver": ()}
_CAUSES = {"bottleneck": tuple(cause.value for cause in Cause), "regression": (), "driver": DRIVER_CAUSES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an analyzer found, with its figures: a bottleneck, a regression, or a driver of slow cards.

    ``about`` is the signal of a regression or the name of a driver. ``state`` of a regression is one of
    `REGRESSION_STATES`, ``cause`` of a driver one of `DRIVER_CAUSES`.
    """

    kind: str
    pipeline: str
    stage: str = ""
    state: str = ""
    cause: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    """``severity``, ``utilisation``, ``contention``, ``cascade``, ``waiting``, ``workers``, ``impact`` of a stage;
    ``change`` of a signal, negative if it fell; ``share`` of a driver."""
    about: str = ""
    has_queue_limit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One row of the table."""

    name: str
    kind: str
    advice: str
    at_least: Mapping[str, float]
    states: frozenset[str]
    causes: frozenset[str]
    signals: frozenset[str]
    needs_queue_limit: bool
    expects: Lever | None
    action: str | None

    def fits(self, finding: Finding) -> bool:
        """Return whether all conditions hold; a condition on an unknown figure does not."""
        return (
            finding.kind == self.kind
            and (not self.states or finding.state in self.states)
            and (not self.causes or finding.cause in self.causes)
            and (not self.signals or finding.about in self.signals)
            and (not self.needs_queue_limit or finding.has_queue_limit)
            and all(
                name in finding.figures and abs(finding.figures[name]) >= least for name, least in self.at_least.items()
            )
        )

    def advise(self, finding: Finding) -> str:
        """Return the advice with the figures of the finding filled in."""
        figures = finding.figures

        def share(name: str) -> str:
            return f"{abs(figures[name]):.0%}" if name in figures else "an unknown share"

        def number(name: str) -> str:
            return f"{figures[name]:.0f}" if name in figures else "some"

        return self.advice.format(
            stage=finding.stage,
            pipeline=finding.pipeline,
            where=f"{finding.pipeline} / {finding.stage}" if finding.stage else finding.pipeline,
            signal=finding.about,
            driver=finding.about,
            severity=number("severity"),
            utilisation=share("utilisation"),
            workers=number("workers"),
            waiting=number("waiting"),
            impact=number("impact"),
            moved="fell" if figures.get("change", 0.0) < 0 else "rose",
            change=share("change"),
            share=share("share"),
        )


def load(path: Path = DEFAULT) -> tuple[Strategy, ...]:
    """Return the strategies of a file.

    Raises:
        DefinitionError: the file has problems; lists all of them.
    """
    problems: list[Problem] = []
    top = strict_yaml.read(path.parent, path.name, problems)
    strategies = []
    if top is not None:
        strategies = [_strategy(name, fields) for name, fields in top.entries("strategies")]
        top.done("the table of strategies")
    if problems:
        raise DefinitionError(problems)
    return tuple(strategies)


def _strategy(name: str, fields: Fields) -> Strategy:
    kind = fields.choice("of", KINDS)
    when = fields.mapping("when")
    at_least: dict[str, float] = {}
    states: list[str] = []
    causes: list[str] = []
    signals: list[str] = []
    needs_limit = False
    if when is not None:
        limits = {name: when.number(name, None) for name in _AT_LEAST}
        at_least = {name: limit for name, limit in limits.items() if limit is not None}
        states = _words(when, "state", _STATES.get(kind, ()))
        causes = _words(when, "cause", _CAUSES.get(kind, ()))
        signals = [word for word, _ in when.texts("signal")]
        needs_limit = when.flag("room", False)
        when.done("when")
    advice = fields.text("advice")
    _check_words(fields, advice)
    expects = fields.choice("expects", [lever.value for lever in Lever], None)
    action = fields.choice("action", ACTIONS, None)
    fields.done("a strategy")
    return Strategy(
        name=name,
        kind=kind,
        advice=advice,
        at_least=at_least,
        states=frozenset(states),
        causes=frozenset(causes),
        signals=frozenset(signals),
        needs_queue_limit=needs_limit,
        expects=Lever(expects) if expects is not None else None,
        action=action,
    )


def _words(fields: Fields, name: str, known: Collection[str]) -> list[str]:
    words = []
    for word, place in fields.texts(name):
        if word not in known:
            place.refuse(f"{name}: unknown value {word!r}", hint=strict_yaml.did_you_mean(word, known))
        words.append(word)
    return words


def _check_words(fields: Fields, advice: str) -> None:
    try:
        used = {word for _, word, _, _ in string.Formatter().parse(advice) if word is not None}
    except ValueError as error:
        fields.at("advice").refuse(f"advice: {error}", hint="write {{ for a literal brace")
        return
    for word in sorted(used - WORDS):
        fields.at("advice").refuse(f"advice: unknown word {{{word}}}", hint=strict_yaml.did_you_mean(word, WORDS))
