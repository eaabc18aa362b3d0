"""Weights and targets of health from a hand-written YAML file."""

from pathlib import Path

from jelmon.config import strict_yaml
from jelmon.errors import ConfigError, DefinitionError, Problem
from jelmon_analyzers.health.scoring import WEIGHTS, HealthSettings, Part


def load(path: Path) -> HealthSettings:
    """Read ``weights``, ``objective``, ``card_target``, ``stall_limit``, ``resource_limit`` and ``window``.

    Raises:
        DefinitionError: with every fault of the file.
    """
    problems: list[Problem] = []
    top = strict_yaml.read(path.parent, path.name, problems, may_be_empty=True)
    plain = HealthSettings()
    if top is None:
        raise DefinitionError(problems)
    weights = dict(WEIGHTS)
    written = top.mapping("weights")
    if written is not None:
        weights = {part: written.number(part.value, WEIGHTS[part]) for part in Part}
        written.done("weights")
    values = {
        "objective": top.number("objective", plain.objective),
        "card_target_seconds": top.duration("card_target", None),
        "stall_limit_seconds": top.duration("stall_limit", plain.stall_limit_seconds),
        "resource_limit": top.number("resource_limit", plain.resource_limit),
        "window_seconds": top.duration("window", plain.window_seconds),
    }
    top.done("the settings of health")
    if problems:
        raise DefinitionError(problems)
    try:
        return HealthSettings(weights=weights, **values)  # type: ignore[arg-type]
    except ConfigError as error:
        raise DefinitionError([Problem(path.name, 0, error.message, error.hint)]) from error
