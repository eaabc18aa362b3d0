"""Changes of rules that make no difference, and why: no test can notice them."""

import re

from support.rule_mutants import Mutant

EQUIVALENT: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"error_ratio_\w+: threshold moved: .*> 0\).*-> '0\.01'"),
        "what is counted in a window is 0, or more than a hundredth of an event",
    ),
    (
        re.compile(r"error_ratio_\w+: factor: .*\* 0\.\.\. : '0' -> '0\.1'"),
        "the branch applies only where the total is 0, whatever it is multiplied by",
    ),
    (
        re.compile(r"slo_\w+_(error_ratio|events|budget)_\w+: label of the rule dropped: instance: all"),
        "what it reads has the label already",
    ),
    (
        re.compile(r"matcher dropped: .*'alertname=\"(\w+)\",rule_id=\"\w+\"(.*)' -> '(alertname|rule_id)=\"\w+\"\2'"),
        "alertname and rule_id each name the same alert; Prometheus orders rules by the literal alertname",
    ),
)
"""What a mutant looks like that makes no difference, as it is printed, and the reason."""


def why_equivalent(mutant: Mutant) -> str:
    """Return the reason why a change makes no difference; empty when it does, or when none is known."""
    return next((reason for pattern, reason in EQUIVALENT if pattern.search(str(mutant))), "")
