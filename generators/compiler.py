"""From a folder of definitions to everything that is rendered from it: load, check, compile."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jelmon.errors import DefinitionError
from jelmon.generators import checks
from jelmon.generators.alertmanager import with_urls
from jelmon.generators.definitions import Bundle
from jelmon.generators.expressions import Known
from jelmon.generators.loader import load
from jelmon.generators.promql import Analysis, Series
from jelmon.generators.rules import Compiled, Group, compile_alert, groups, recorded_labels


@dataclass(frozen=True, slots=True)
class Compilation:
    """The definitions, checked, with their rules."""

    bundle: Bundle
    analyses: Mapping[str, Analysis]
    known: Known
    compiled: tuple[Compiled, ...]
    groups: tuple[Group, ...]


def compile_bundle(root: Path, *, channel_urls: Mapping[str, str] | None = None) -> Compilation:
    """Load ``root/rules``, check it, compile it.

    Raises:
        DefinitionError: with every fault of every file.
        ConfigError: a channel in ``channel_urls`` does not exist.
    """
    bundle = load(root)
    with_urls(bundle, channel_urls or {})
    known = checks.known_series()
    analyses = checks.check_signals(bundle, known)
    checks.check_alerts(bundle, known, root)
    checks.check_channels(bundle, (0, 25))
    if bundle.problems:
        raise DefinitionError(bundle.problems)
    return _compile(bundle, analyses, known)


def _compile(bundle: Bundle, analyses: Mapping[str, Analysis], series: Mapping[str, Series]) -> Compilation:
    known = Known(
        records={name: signal.record for name, signal in bundle.signals.items()},
        labels={name: recorded_labels(signal, analyses[name]) for name, signal in bundle.signals.items()},
        directions={name: signal.direction for name, signal in bundle.signals.items()},
        metric_labels=lambda name: series[name].labels,
        settings=bundle.settings,
    )
    compiled = [
        compile_alert(alert, known, bundle.escalations.get(alert.escalation or "")) for alert in bundle.alerts.values()
    ]
    return Compilation(bundle, analyses, known, tuple(compiled), tuple(groups(bundle, analyses, compiled, known)))
