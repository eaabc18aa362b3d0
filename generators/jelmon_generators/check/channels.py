"""Channels: the Alertmanager that reads them supports their type and options."""

from jelmon_generators.checks import TARGET
from jelmon_generators.model.channels import CHANNEL_TYPES, OPTIONS_SINCE
from jelmon_generators.model.definitions import Bundle
from jelmon_generators.targets import Version, written


def check(bundle: Bundle, alertmanager: Version) -> None:
    """Report what is newer than the target."""
    for channel in bundle.channels.values():
        since = CHANNEL_TYPES[channel.type].since
        if alertmanager < since:
            TARGET.report(
                channel.fields.at("type"),
                f"channel type {channel.type!r} needs Alertmanager {written(since)}",
                hint=f"the target is {written(alertmanager)}: raise it in rules/bundle.yaml, or use a webhook",
            )
            continue
        for name in channel.options:
            if alertmanager < (since := OPTIONS_SINCE.get(name, alertmanager)):
                TARGET.report(
                    channel.fields.at(name),
                    f"{name} needs Alertmanager {written(since)}",
                    hint=f"the target is {written(alertmanager)}: raise it in rules/bundle.yaml",
                )
