"""What is rendered for which versions: what the compiler lets pass is what a Prometheus of that version reads."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon_generators.promql.analysis import Limits, analyse
from jelmon_generators.promql.series import Series
from jelmon_generators.targets import Target, Version

KNOWN = {name: Series("gauge", frozenset({"job", "instance", "le"})) for name in ("x", "y", "m5", "s_5m:x")}
NOT_READ = re.compile("needs Prometheus|needs the feature flag|was removed in|not PromQL|Prometheus has no")
EXPRESSIONS = """\
x > 600
x > 10m
time() - x > 1h30m
time() - x > -10m
x @ 5
rate(x[5m])
rate(x[300])
rate(x[300s])
max_over_time(x[600:60])
max_over_time(x[10m:1m])
max_over_time((x > 1m)[10m:1m])
max_over_time((time() - x > 1m)[10m:])
x offset 300
x offset 5m
x offset -5m
x offset -300
clamp_max(x, 5m)
x * 5m
m5 > 5
x{job="5m", instance=~"10m|[5]"} > 1
x{job='a "quoted" 5m'} > 1
s_5m:x > 5
{"x"}
{"x", job="a"}
x{"job"="a"}
sum by ("job") (x)
sum by (job) (x)
x / on ("job") y
x{job="a" or job="b"}
x + fill(0) y
x + fill_left(-1) y
label_replace(x, "a", "b", "job", "(.*)")
label_replace(x, "a", "by (\\"b\\")", "job", "(.*)")
first_over_time(x[5m])
ts_of_max_over_time(x[5m])
ts_of_min_over_time(x[5m])
ts_of_last_over_time(x[5m])
ts_of_first_over_time(x[5m])
mad_over_time(x[5m])
double_exponential_smoothing(x[5m], 0.5, 0.5)
holt_winters(x[5m], 0.5, 0.5)
histogram_avg(x)
histogram_stddev(x)
histogram_stdvar(x)
histogram_quantiles(x, "q", 0.5)
sort_by_label(x, "job")
sort_by_label_desc(x, "job")
limitk(2, x)
limit_ratio(0.5, x)
info(x)
min_of(1, 2)
start()
step()
range()
start_timestamp(x)
last_over_time(x[5m])
present_over_time(x[5m])
x atan2 y
acosh(x)
x > 0x10
x > 1e3
x @ end()
x > +Inf
-x ^ 2
topk(2, x)
count_values("job", x)
""".splitlines()


@pytest.fixture(scope="session")
def version(tool: Callable[[str], Path]) -> Version:
    """The version of promtool at hand; one that says none is the newest."""
    said = subprocess.run([tool("promtool"), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    return (int(found.group(1)), int(found.group(2))) if found else (3, 99)


def test_what_is_let_pass_is_what_promtool_of_that_version_reads(
    version: Version, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """Functions and spellings; the other way round, holt_winters alone is refused although an old Prometheus has it."""
    limits = Limits(target=Target(prometheus=version))
    ours = {}
    for expression in EXPRESSIONS:
        faults = [fault.message for fault in analyse(expression, KNOWN, limits).faults]
        ours[expression] = not any(NOT_READ.search(message) for message in faults)
    rules = tmp_path / "rules.yml"
    groups = [
        {"name": f"<{place}>", "rules": [{"record": "a:b", "expr": one}]} for place, one in enumerate(EXPRESSIONS)
    ]
    rules.write_text(json.dumps({"groups": groups}))
    command = [str(tool("promtool")), "check", "rules", str(rules)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    refused = {int(place) for place in re.findall('group "<(\\d+)>"', said)}
    theirs = {one: place not in refused for place, one in enumerate(EXPRESSIONS)}

    differing = {one for one in EXPRESSIONS if ours[one] != theirs[one]}
    assert differing <= {"holt_winters(x[5m], 0.5, 0.5)"}
