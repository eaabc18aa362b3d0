"""``rules/bundle.yaml`` to settings."""

import math
from collections.abc import Mapping

from jelmon.config.strict_yaml import Fields, did_you_mean
from jelmon.errors import ConfigError
from jelmon_generators.checks import REFERENCE, SETTINGS
from jelmon_generators.model.settings import Settings
from jelmon_generators.promql.series import Series
from jelmon_generators.targets import OLDEST, Target


def read_settings(fields: Fields, series: Mapping[str, Series]) -> Settings:
    """Return the settings; the defaults, after reporting why, when they are not valid."""
    default = Settings()
    problems = fields.place.source.problems
    before = len(problems)
    settings = Settings(
        team=fields.text("team", default.team),
        evaluation_interval_seconds=fields.duration("evaluation_interval", default.evaluation_interval_seconds),
        scrape_interval_seconds=fields.duration("scrape_interval", default.scrape_interval_seconds),
        retention_seconds=fields.duration("retention", default.retention_seconds),
        alertmanager_retention_seconds=fields.duration(
            "alertmanager_retention", default.alertmanager_retention_seconds
        ),
        runbook_url=fields.text("runbook_url", default.runbook_url).rstrip("/"),
        grafana_url=fields.text("grafana_url", default.grafana_url).rstrip("/"),
        analyzer_stale_seconds=fields.duration("analyzer_stale_after", default.analyzer_stale_seconds),
        target=_target(fields),
        rules_per_group=_whole(fields, "rules_per_group"),
        rule_groups=_whole(fields, "rule_groups"),
        unknown=fields.choice("unknown", ("refuse", "warn"), default.unknown),
        at_most=_at_most(fields.mapping("at_most"), series),
    )
    fields.done("the bundle's settings")
    for name, seconds, longest in (
        ("evaluation_interval", settings.evaluation_interval_seconds, 300.0),
        ("scrape_interval", settings.scrape_interval_seconds, 120.0),
        ("retention", settings.retention_seconds, math.inf),
        ("alertmanager_retention", settings.alertmanager_retention_seconds, math.inf),
    ):
        if len(problems) == before and not 0 < seconds <= longest:
            SETTINGS.report(fields.at(name), f"{name} must be above 0 and at most {longest:g} seconds")
    return settings if len(problems) == before else default


def _whole(fields: Fields, name: str) -> int | None:
    if not fields.has(name):
        return None
    before = len(fields.place.source.problems)
    number = fields.number(name)
    if (number < 1 or number != int(number)) and len(fields.place.source.problems) == before:
        SETTINGS.report(fields.at(name), f"{name}: expected a whole number, at least 1")
    return int(number)


def _at_most(fields: Fields | None, series: Mapping[str, Series]) -> dict[str, int]:
    """Return the most values that each label can have."""
    if fields is None:
        return {}
    labels = frozenset().union(*(one.labels for one in series.values()))
    limits = {}
    for label in list(fields.nodes):
        before = len(fields.place.source.problems)
        number = fields.number(label)
        if label not in labels:
            REFERENCE.report(fields.keys[label], f"no metric has a label {label!r}", hint=did_you_mean(label, labels))
        elif (number < 1 or number != int(number)) and len(fields.place.source.problems) == before:
            SETTINGS.report(fields.at(label), "at_most: expected a whole number of values, at least 1")
        limits[label] = int(number)
    return limits


def _target(fields: Fields) -> Target:
    text = fields.text("target", None)
    if text is None:
        return OLDEST
    try:
        return Target.parse(text)
    except ConfigError as error:
        SETTINGS.report(fields.at("target"), error.message, hint=error.hint)
        return OLDEST
