"""The versions of the servers that files are rendered for."""

import re
from dataclasses import dataclass, replace

from jelmon.errors import ConfigError

Version = tuple[int, int]
OLDEST_PROMETHEUS: Version = (2, 42)  # keep_firing_for
OLDEST_ALERTMANAGER: Version = (0, 25)  # location of time intervals

OLDEST_MIMIR: Version = (2, 10)
MIMIR_RULES_PER_GROUP = 20  # ruler_max_rules_per_rule_group
MIMIR_GROUPS = 70  # ruler_max_rule_groups_per_tenant

OLDEST_GRAFANA: Version = (9, 3)
NEWEST_GRAFANA_FORM: Version = (11, 1)  # the form of XY charts

_PART = re.compile(r"(prometheus|alertmanager|mimir|grafana)=(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Target:
    """The versions that must understand the rendered files."""

    prometheus: Version = OLDEST_PROMETHEUS
    alertmanager: Version = OLDEST_ALERTMANAGER
    mimir: Version | None = None  # evaluates the rules instead of Prometheus, within its limits
    grafana: Version = NEWEST_GRAFANA_FORM
    plugins: bool = False  # Grafana has the panel plugins for treemaps and radars

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read ``prometheus=2.42,alertmanager=0.25``; the default of each is the oldest supported version.

        Raises:
            ConfigError: not of this form, or too old.
        """
        versions: dict[str, Version] = {}
        for part in text.split(","):
            match = _PART.fullmatch(part.strip())
            if match is None:
                raise ConfigError(
                    f"target: {part.strip()!r} is not a version", hint="write prometheus=2.42,alertmanager=0.25"
                )
            versions[match.group(1)] = (int(match.group(2)), int(match.group(3)))
        target = replace(cls(), **versions)  # type: ignore[arg-type]
        for name, have, oldest in (
            ("Prometheus", target.prometheus, OLDEST_PROMETHEUS),
            ("Alertmanager", target.alertmanager, OLDEST_ALERTMANAGER),
            ("Mimir", target.mimir or OLDEST_MIMIR, OLDEST_MIMIR),
            ("Grafana", target.grafana, OLDEST_GRAFANA),
        ):
            if have < oldest:
                raise ConfigError(f"target: {name} {written(have)} is too old", hint=f"{written(oldest)} or newer")
        return target


OLDEST = Target()


def written(version: Version) -> str:
    """Return a version as text: ``2.42``."""
    return f"{version[0]}.{version[1]}"
