"""From a folder of definitions to everything that is rendered from it: load, check, compile.

Every step takes what the steps before it returned and changes none of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jelmon.config.strict_yaml import did_you_mean
from jelmon.errors import ConfigError, DefinitionError, Problem
from jelmon_generators.check import (
    channels,
    conditions,
    escalations,
    excuses,
    inhibition,
    limits,
    links,
    objectives,
    references,
    routes,
    signals,
    texts,
    windows,
)
from jelmon_generators.check.excuses import Excuse
from jelmon_generators.compile import baselines, fingerprint, maintenance, origins, placement, slos
from jelmon_generators.compile.routing import Routing, routing
from jelmon_generators.compile.rules import Compiled, Group, compile_alert, groups, recorded_labels
from jelmon_generators.load.bundle import load
from jelmon_generators.load.templates import read_templates
from jelmon_generators.model.definitions import Bundle, Channel
from jelmon_generators.model.known import Known
from jelmon_generators.model.windows import sparing
from jelmon_generators.promql.analysis import Analysis
from jelmon_generators.promql.persistence import persists
from jelmon_generators.promql.series import Series
from jelmon_generators.targets import Target


@dataclass(frozen=True, slots=True)
class Compilation:
    """The definitions, checked, with their rules."""

    bundle: Bundle
    target: Target
    analyses: Mapping[str, Analysis]
    known: Known
    compiled: tuple[Compiled, ...]
    groups: tuple[Group, ...]
    fingerprint: int
    routing: Routing
    templates: Mapping[str, str]  # of notifications, by path
    warnings: tuple[str, ...] = ()  # what does not keep the definitions from compiling


def compile_bundle(
    root: Path, *, channel_urls: Mapping[str, str] | None = None, target: Target | None = None
) -> Compilation:
    """Load ``root/rules``, check it, compile it.

    Raises:
        DefinitionError: with every problem of every file.
        ConfigError: a channel in ``channel_urls`` does not exist.
    """
    problems: list[Problem] = []  # the places of definitions report here
    loaded = load(root, problems)
    excused = excuses.read(loaded.sources)
    target = target or loaded.bundle.settings.target
    written = replace(loaded.bundle, channels=_redirected(loaded.bundle.channels, channel_urls or {}))
    objectives.check(written)
    with_objectives = slos.expanded(written)
    complete = replace(with_objectives, windows=sparing(with_objectives))
    series = loaded.bundle.series
    analysed = signals.analysed(complete, target)
    bundle, analyses = baselines.expanded(signals.bounded(complete, analysed), analysed)
    references.check(bundle, series)
    links.check(bundle, root)
    channels.check(bundle, target.alertmanager)
    escalations.check(bundle, complete=not problems)
    _stop(problems, excused)  # what follows relies on names that exist
    known = _known(bundle, analyses, series)
    conditions.check(bundle, known, analyses)
    placed = placement.placement(bundle)
    compiled = tuple(
        compile_alert(alert, placed.known(alert, bundle, known), bundle.escalations.get(alert.escalation or ""))
        for alert in bundle.alerts.values()
    )
    texts.check(bundle, compiled, analyses)
    routes.check(bundle, compiled)
    inhibition.check(bundle)
    windows.check(bundle, compiled)
    _stop(problems, excused)
    excuses.report_unused(tuple(problems), excused)
    _stop(problems, excused)
    every = [*groups(bundle, analyses, compiled, placed), *maintenance.groups(bundle)]
    number = fingerprint.fingerprint(every)
    every.append(fingerprint.group(number, bundle.settings.evaluation_interval_seconds))
    limits.check(every, bundle.settings, target)
    return Compilation(
        bundle,
        target,
        analyses,
        known,
        compiled,
        tuple(every),
        number,
        routing(bundle, compiled),
        read_templates(root),
        tuple(signals.warnings(bundle, analyses)),
    )


def _stop(problems: Sequence[Problem], excused: tuple[Excuse, ...]) -> None:
    """Raise when there are problems that no excuse covers."""
    if remaining := excuses.remaining(problems, excused):
        raise DefinitionError(remaining)


def _known(bundle: Bundle, analyses: Mapping[str, Analysis], series: Mapping[str, Series]) -> Known:
    return Known(
        records={name: signal.record for name, signal in bundle.signals.items()},
        labels={name: recorded_labels(signal, analyses[name]) for name, signal in bundle.signals.items()},
        directions={name: signal.direction for name, signal in bundle.signals.items()},
        metric_labels=lambda name: series[name].labels,
        metric_job=lambda name: series[name].job if name in series else None,
        settings=bundle.settings,
        scraped=origins.of(bundle, analyses),
        persists={
            name: persists(one.expr) for name, one in bundle.signals.items() if not one.group and one.reads is None
        },
        interval_seconds=bundle.settings.evaluation_interval_seconds,
    )


def _redirected(channels: Mapping[str, Channel], urls: Mapping[str, str]) -> Mapping[str, Channel]:
    """Return the channels with other URLs for some webhooks: the local stack has its own ports.

    Raises:
        ConfigError: there is no such channel, or it is not a webhook.
    """
    redirected = dict(channels)
    for name, url in urls.items():
        channel = channels.get(name)
        if channel is None:
            raise ConfigError(f"--channel-url: unknown channel {name!r}", hint=did_you_mean(name, channels))
        if channel.type != "webhook":
            raise ConfigError(
                f"--channel-url: channel {name!r} is not a webhook", hint="only webhooks have a URL to replace"
            )
        redirected[name] = replace(channel, options={"url": url})
    return redirected
