"""``rules/escalations.yaml`` to definitions."""

from jelmon.config.strict_yaml import Fields
from jelmon_generators.model.definitions import Escalation, Level
from jelmon_generators.model.naming import NAME, add


def read_escalations(fields: Fields) -> dict[str, Escalation]:
    """Return every escalation of the file."""
    escalations: dict[str, Escalation] = {}
    for name, entry in fields.entries("escalations"):
        levels = tuple(_level(item) for item in entry.items("levels"))
        escalation = Escalation(name=name, description=entry.text("description"), levels=levels, fields=entry)
        entry.done("an escalation")
        add(escalations, name, escalation, entry.place, "escalation", NAME)
    fields.done("escalations.yaml")
    return escalations


def _level(item: Fields) -> Level:
    level = Level(
        minutes=item.number("minutes"),
        channels=tuple(item.texts("channels")),
        escalate_to=item.text("escalate_to"),
        fields=item,
    )
    item.done("a level")
    return level
