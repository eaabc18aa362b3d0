"""From a folder of definitions to everything that is rendered from it: load, check, compile."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jelmon.config.strict_yaml import did_you_mean
from jelmon.errors import ConfigError, DefinitionError
from jelmon_generators.check import names, policy
from jelmon_generators.compile import baselines, fingerprint, maintenance, slos
from jelmon_generators.compile.routing import Routing, routing
from jelmon_generators.compile.rules import Compiled, Group, compile_alert, groups, recorded_labels
from jelmon_generators.load.bundle import load
from jelmon_generators.model.definitions import Bundle
from jelmon_generators.model.known import Known
from jelmon_generators.model.windows import sparing
from jelmon_generators.promql.analysis import Analysis
from jelmon_generators.promql.series import known_series
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


def compile_bundle(
    root: Path, *, channel_urls: Mapping[str, str] | None = None, target: Target | None = None
) -> Compilation:
    """Load ``root/rules``, check it, compile it.

    Raises:
        DefinitionError: with every fault of every file.
        ConfigError: a channel in ``channel_urls`` does not exist.
    """
    bundle = load(root)
    target = target or bundle.settings.target
    _redirect(bundle, channel_urls or {})
    slos.expand(bundle)
    bundle.windows = sparing(bundle)
    series = known_series()
    analyses = names.check_signals(bundle, series, target)
    baselines.expand(bundle, analyses)
    names.check_alerts(bundle, series, root)
    names.check_channels(bundle, target.alertmanager)
    policy.check_escalations(bundle)
    if bundle.problems:  # what follows relies on names that exist
        raise DefinitionError(bundle.problems)
    known = Known(
        records={name: signal.record for name, signal in bundle.signals.items()},
        labels={name: recorded_labels(signal, analyses[name]) for name, signal in bundle.signals.items()},
        directions={name: signal.direction for name, signal in bundle.signals.items()},
        metric_labels=lambda name: series[name].labels,
        settings=bundle.settings,
    )
    policy.check_conditions(bundle, known, analyses)
    compiled = [
        compile_alert(alert, known, bundle.escalations.get(alert.escalation or "")) for alert in bundle.alerts.values()
    ]
    policy.check_compiled(bundle, compiled)
    if bundle.problems:
        raise DefinitionError(bundle.problems)
    every = [*groups(bundle, analyses, compiled, known), *maintenance.groups(bundle)]
    number = fingerprint.fingerprint(every)
    return Compilation(
        bundle,
        target,
        analyses,
        known,
        tuple(compiled),
        (*every, fingerprint.group(number, bundle.settings.evaluation_interval_seconds)),
        number,
        routing(bundle, compiled),
    )


def _redirect(bundle: Bundle, urls: Mapping[str, str]) -> None:
    """Point webhook channels elsewhere: the local stack has its own ports.

    Raises:
        ConfigError: no such channel, or it is no webhook.
    """
    for name, url in urls.items():
        channel = bundle.channels.get(name)
        if channel is None:
            raise ConfigError(f"--channel-url: no channel {name!r}", hint=did_you_mean(name, bundle.channels))
        if channel.type != "webhook":
            raise ConfigError(f"--channel-url: channel {name!r} is no webhook", hint="only webhooks have an address")
        bundle.channels[name] = replace(channel, options={"url": url})
