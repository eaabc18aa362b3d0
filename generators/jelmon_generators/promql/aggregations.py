"""The small language of signals: ``percentile(processing_time_seconds, 95, "5m")``, typed by the catalogue, to PromQL.

::

    value   = term { ("+" | "-") term }
    term    = factor { ("*" | "/") factor }
    factor  = number | "(" value ")" | call
    call    = function "(" name [ "," number ] "," window ")" [ "by" "(" label { "," label } ")" ]

A name is one of ``names:`` in signals.yaml, or a metric of the catalogue with or without ``jelmore_``. Replicas are
aggregated away before anything is added up, and a divisor of 0 gives no value instead of NaN.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from jelmon.catalogue import BY_NAME, EVENTS_LOST, Counter, Gauge, Histogram, Metric, Service
from jelmon.config.strict_yaml import did_you_mean

_TOKEN = re.compile(r'\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]\w*)|"(?P<window>[^"]*)"|(?P<sign>[-+*/(),]))')
_WINDOW = re.compile(r"(\d+(ms|s|m|h|d|w))+")


class Name(NamedTuple):
    """What a short name stands for: a metric, and matchers such as ``outcome="error"``."""

    metric: str
    matchers: str = ""
    sound: bool = True  # otherwise it is wrong, which has been reported where it is declared

    @property
    def family(self) -> Metric | None:
        """The metric of the catalogue; the name may omit ``jelmore_``."""
        return BY_NAME.get(self.metric) or BY_NAME.get(f"jelmore_{self.metric}")


class AggregationError(ValueError):
    """The value does not compile. ``needle`` is the text to underline."""

    def __init__(self, message: str, *, hint: str = "", needle: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.needle = needle


class UnsoundNameError(AggregationError):
    """The value uses a short name that is wrong, which has been reported where it is declared."""


class _Call(NamedTuple):
    metric: Metric
    matchers: str
    argument: float | None
    window: str
    by: tuple[str, ...]

    def selector(self, suffix: str = "") -> str:
        return f"{self.metric.name}{suffix}{self._braces}[{self.window}]"

    @property
    def counter(self) -> str:
        """The metric with its matchers."""
        return f"{self.metric.name}{self._braces}"

    @property
    def _braces(self) -> str:
        return f"{{{self.matchers}}}" if self.matchers else ""

    def grouping(self, *more: str) -> str:
        return f"by ({', '.join(sorted({'job', *self.by, *more}))})"


@dataclass(frozen=True, slots=True)
class _Function:
    """``kinds``: the PromQL that it becomes for each type of metric; any other type is an error."""

    kinds: Mapping[type[Metric], Callable[[_Call], str]]
    takes_number: bool = False
    why_not: str = ""


def _increase(call: _Call, suffix: str = "", function: str = "increase") -> str:
    return f"sum {call.grouping()} (max without (instance, pod) ({function}({call.selector(suffix)})))"


def _occurrences(call: _Call) -> str:
    return occurrences(call.counter, call.window, call.metric.service, call.grouping())


def occurrences(counter: str, window: str, service: Service | None, grouping: str) -> str:
    """Return the increase of a counter, with the first value of a series that did not exist before.

    ``increase()`` of a counter that appears at 7 is 0. A series is new when it was missing from a page that was scraped
    within the window, and no replica had it in the window before. What a page is judged by comes with the counters
    themselves: a replica that has not loaded them yet, or leaves them to the leader, shows neither.
    """
    one = f"{counter}[{window}]"
    seen = "sum_over_time(up" if service is not Service.EXPORTER else f"count_over_time({EVENTS_LOST.name}"
    return (
        f"sum {grouping} (\n"
        "  max without (instance, pod) (\n"
        f"    last_over_time({one})\n"
        f"    and count_over_time({one}) < on (job, instance) group_left () {seen}[{window}])\n"
        "  )\n"
        f"  unless max without (instance, pod) (max_over_time({one} offset {window}))\n"
        f"  or max without (instance, pod) (increase({one}))\n"
        ")"
    )


def _percentile(call: _Call) -> str:
    inner = f"sum {call.grouping('le')} (max without (instance, pod) (rate({call.selector('_bucket')})))"
    return f"histogram_quantile({(call.argument or 0) / 100:.12g}, {inner})"


def _over_time(operation: str) -> Callable[[_Call], str]:
    def text(call: _Call) -> str:
        inner = f"max without (instance, pod) ({operation}_over_time({call.selector()}))"
        return f"{operation} {call.grouping()} ({inner})"

    return text


def _mean(call: _Call) -> str:
    return f"{_increase(call, '_sum')} / ({_increase(call, '_count')} > 0)"


FUNCTIONS: dict[str, _Function] = {
    "count": _Function(
        {Counter: _increase, Histogram: lambda call: _increase(call, "_count")},
        why_not="a gauge counts nothing; use avg, min or max",
    ),
    "occurrences": _Function({Counter: _occurrences}, why_not="only a counter counts what happened"),
    "sum": _Function(
        {Counter: _increase, Histogram: lambda call: _increase(call, "_sum")},
        why_not="the sum of a gauge over time depends on the scrape interval; use avg, min or max",
    ),
    "rate": _Function(
        {
            Counter: lambda call: _increase(call, "", "rate"),
            Histogram: lambda call: _increase(call, "_count", "rate"),
        },
        why_not="only counters and histograms have a rate",
    ),
    "avg": _Function(
        {Gauge: _over_time("avg"), Histogram: _mean}, why_not="the mean of a counter is meaningless; use count or rate"
    ),
    "min": _Function({Gauge: _over_time("min")}, why_not="only a gauge has a minimum"),
    "max": _Function({Gauge: _over_time("max")}, why_not="only a gauge has a maximum"),
    "percentile": _Function({Histogram: _percentile}, takes_number=True, why_not="only a histogram has percentiles"),
}


class _Token(NamedTuple):
    kind: str
    text: str


def metric_hint(word: str, names: Iterable[str] = ()) -> str:
    """Return a hint for the unknown name of a metric."""
    known = [*names, *BY_NAME, *(full.removeprefix("jelmore_") for full in BY_NAME)]
    return did_you_mean(word, known, otherwise="docs/metrics.md lists the metrics")


def compile_value(text: str, names: Mapping[str, Name], by: tuple[str, ...]) -> str:
    """Return the value as PromQL. ``by`` is the grouping of calls that state none.

    Raises:
        AggregationError: the text is not valid, or applies a function to the wrong type of metric.
    """
    return _Parser(text, names, by).parse()


class _Parser:
    """Recursive descent; every method consumes what it is named after and returns PromQL."""

    def __init__(self, text: str, names: Mapping[str, Name], by: tuple[str, ...]) -> None:
        self._names = names
        self._by = by
        self._tokens = list(_tokens(text))
        self._next = 0

    def parse(self) -> str:
        value = self._sum()
        if self._peek().kind != "end":
            raise AggregationError(f"unexpected {self._peek().text!r}", needle=self._peek().text)
        return value

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _next_token(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _expect(self, sign: str) -> None:
        token = self._next_token()
        if token.text != sign or token.kind != "sign":
            raise AggregationError(f"expected {sign!r}, found {token.text or 'the end'!r}", needle=token.text)

    def _accept(self, *signs: str) -> str | None:
        token = self._peek()
        return self._next_token().text if token.kind == "sign" and token.text in signs else None

    def _sum(self) -> str:
        value = self._product()
        while sign := self._accept("+", "-"):
            value = f"{value} {sign} {self._product()}"
        return value

    def _product(self) -> str:
        value = self._factor()
        while sign := self._accept("*", "/"):
            right = self._factor()
            if sign == "/" and not right.replace(".", "").isdigit():
                right = f"({right} > 0)"
            value = f"{value} {sign} {right}"
        return value

    def _factor(self) -> str:
        if self._accept("("):
            value = self._sum()
            self._expect(")")
            return f"({value})"
        token = self._next_token()
        if token.kind == "number":
            return token.text
        if token.kind != "word":
            raise AggregationError(
                f"expected a function, a number or '(', found {token.text or 'the end'!r}", needle=token.text
            )
        return self._call(token.text)

    def _call(self, function: str) -> str:
        known = FUNCTIONS.get(function)
        if known is None:
            raise AggregationError(
                f"unknown function {function!r}", hint=did_you_mean(function, FUNCTIONS), needle=function
            )
        self._expect("(")
        word = self._next_token()
        if word.kind != "word":
            raise AggregationError(f"{function}: expected a metric, found {word.text!r}", needle=word.text)
        metric, matchers = self._metric(word.text)
        argument = None
        if known.takes_number:
            self._expect(",")
            argument = self._number(function)
        self._expect(",")
        window = self._next_token()
        if window.kind != "window" or not _WINDOW.fullmatch(window.text):
            raise AggregationError(
                f"{function}: expected a window, found {window.text!r}", hint='write "5m" or "1h"', needle=window.text
            )
        self._expect(")")
        by = self._grouping(metric)
        render = known.kinds.get(type(metric))
        if render is None:
            raise AggregationError(f"{function} of a {metric.kind}", hint=known.why_not, needle=word.text)
        text = render(_Call(metric, matchers, argument, window.text, by))
        return f"({text})" if " / " in text else text

    def _metric(self, word: str) -> tuple[Metric, str]:
        name = self._names.get(word, Name(word))
        if not name.sound:
            raise UnsoundNameError("")
        metric = name.family
        if metric is None:
            raise AggregationError(f"unknown metric {word!r}", hint=metric_hint(word, self._names), needle=word)
        return metric, name.matchers

    def _number(self, function: str) -> float:
        token = self._next_token()
        if token.kind != "number" or not 0 < float(token.text) < 100:
            raise AggregationError(f"{function}: expected a number between 0 and 100", needle=token.text)
        return float(token.text)

    def _grouping(self, metric: Metric) -> tuple[str, ...]:
        if self._peek() != _Token("word", "by"):
            return tuple(label for label in self._by if label in metric.labels)
        self._next_token()
        self._expect("(")
        labels = [self._next_token().text]
        while self._accept(","):
            labels.append(self._next_token().text)
        self._expect(")")
        for label in labels:
            if label not in metric.labels:
                raise AggregationError(
                    f"{metric.name} has no label {label!r}", hint=did_you_mean(label, metric.labels), needle=label
                )
        return tuple(labels)


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise AggregationError(
                f"unexpected {stripped[position:].split()[0]!r}", needle=stripped[position:].split()[0]
            )
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match.group(kind)))
        position = match.end()
    return [*tokens, _Token("end", "")]
