"""Weights and targets of the health score, read from a hand-written YAML file."""

from pathlib import Path

from jelmon.config import strict_yaml
from jelmon.errors import ConfigError, DefinitionError, Problem
from jelmon_analyzers.health.scoring import WEIGHTS, HealthSettings, Part


def load(path: Path) -> HealthSettings:
    """Return the settings of a file.

    Fields: ``weights``, ``objective``, ``card_target``, ``stall_limit``, ``resource_limit``, ``window``.

    Raises:
        DefinitionError: the file has problems; lists all of them.
    """
    problems: list[Problem] = []
    top = strict_yaml.read(path.parent, path.name, problems, may_be_empty=True)
    defaults = HealthSettings()
    if top is None:
        raise DefinitionError(problems)
    weights = dict(WEIGHTS)
    given = top.mapping("weights")
    if given is not None:
        weights = {part: given.number(part.value, WEIGHTS[part]) for part in Part}
        given.done("weights")
    values = {
        "objective": top.number("objective", defaults.objective),
        "card_target_seconds": top.duration("card_target", None),
        "stall_limit_seconds": top.duration("stall_limit", defaults.stall_limit_seconds),
        "resource_limit": top.number("resource_limit", defaults.resource_limit),
        "window_seconds": top.duration("window", defaults.window_seconds),
    }
    top.done("the settings of health")
    if problems:
        raise DefinitionError(problems)
    try:
        return HealthSettings(weights=weights, **values)  # type: ignore[arg-type]
    except ConfigError as error:
        raise DefinitionError([Problem(path.name, 0, error.message, error.hint)]) from error
