"""Changes of rules that make no difference, and why: no test can notice them."""

import re

from support.rule_mutants import Mutant

EQUIVALENT: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"(error_ratio_\w+|:(avg_processing_time_seconds|gate_failure_ratio|error_rate_5m|alerts_undelivered_ratio)"
            r"): threshold moved: .*> 0\).*-> '0\.01'"
        ),
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
        re.compile(r"(store_queue_ratio|rules_difference): threshold moved: .*> 0\).*'0' -> '0\.01'"),
        "a limit and a fingerprint are 0, or whole numbers",
    ),
    (
        re.compile(r": boundary moved: .*>= -Inf.*'>=' -> '>'"),
        "no signal is minus infinity; the comparison is there to drop what is not a number",
    ),
    (
        re.compile(r"level \d: matcher dropped: .*:alert:value\{rule_id=\"\w+\"\}"),
        "the clock, with which the value is matched, has the same rule_id",
    ),
    (
        re.compile(
            r":alert:value \((target|exporter|event_source|state_store)_down\): factor: the whole by 1\.1"
            r"|:alert:value \(no_alertmanager_discovered\): factor: the whole by 1\.1"
        ),
        "the value is 0",
    ),
    (
        re.compile(r"slo_\w+_bad_5m: label dropped: .*and on \(job, \w+\).*'job, (\w+)' -> '\1'"),
        "what is bad is valid as well, and maintenance covers it whatever the job is",
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
