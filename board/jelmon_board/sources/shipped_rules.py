"""The alerting rules that this installation ships: their thresholds hold until Prometheus says what it runs."""

from pathlib import Path

import yaml

from jelmon.installation import shipped
from jelmon_board.model.rules import AlertRule

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def shipped_rules() -> list[AlertRule]:
    """Return the alerting rules in ``deploy/prometheus/rules``; none if the folder is missing. Takes a second."""
    rules = []
    for path in sorted(Path(shipped("deploy/prometheus/rules")).glob("*.yml")):
        for group in yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)["groups"]:
            rules += [
                AlertRule(
                    name=rule["alert"],
                    query=rule["expr"],
                    labels=rule.get("labels", {}),
                    annotations=rule.get("annotations", {}),
                )
                for rule in group["rules"]
                if "alert" in rule
            ]
    return rules
