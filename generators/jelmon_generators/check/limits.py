"""Limits of what evaluates the rules: Mimir refuses groups that Prometheus accepts."""

from collections.abc import Sequence

from jelmon.errors import ConfigError
from jelmon_generators.compile.rules import Group
from jelmon_generators.model.settings import Settings
from jelmon_generators.targets import MIMIR_GROUPS, MIMIR_RULES_PER_GROUP, Target


def check(groups: Sequence[Group], settings: Settings, target: Target) -> None:
    """Refuse groups that are too large, or too many.

    Raises:
        ConfigError: they exceed what the settings or the target's defaults allow.
    """
    mimir = target.mimir is not None
    most_rules = settings.rules_per_group or (MIMIR_RULES_PER_GROUP if mimir else None)
    most_groups = settings.rule_groups or (MIMIR_GROUPS if mimir else None)
    large = sorted(((len(group.rules), group.name) for group in groups), reverse=True)
    if most_rules is not None and large[0][0] > most_rules:
        over = [f"{name} ({count})" for count, name in large if count > most_rules]
        raise ConfigError(
            f"rule groups with more than {most_rules} rules: {', '.join(over)}",
            hint="an alert reads what was recorded before it in its group, so a group cannot be split: raise"
            f" ruler_max_rules_per_rule_group to {large[0][0]} and write rules_per_group: {large[0][0]} in"
            " rules/bundle.yaml",
        )
    if most_groups is not None and len(groups) > most_groups:
        raise ConfigError(
            f"{len(groups)} rule groups, and at most {most_groups} are allowed",
            hint=f"raise ruler_max_rule_groups_per_tenant to {len(groups)} and write rule_groups: {len(groups)} in"
            " rules/bundle.yaml",
        )
