"""PromQL that a remote-reading Prometheus must answer as one that holds the samples."""

SELECTORS = """
up
http_requests_total
http_requests_total{}
http_requests_total{job="api"}
http_requests_total{job="api",code="500"}
http_requests_total{job!="api"}
http_requests_total{job!=""}
http_requests_total{job="nowhere"}
http_requests_total{method=""}
http_requests_total{method!=""}
http_requests_total{method!="get"}
http_requests_total{method=~"get|post"}
http_requests_total{method=~"get|"}
http_requests_total{method=~".*"}
http_requests_total{method=~".+"}
http_requests_total{method!~".+"}
http_requests_total{method!~"get"}
http_requests_total{method!~"g.*|"}
http_requests_total{absent=""}
http_requests_total{absent!=""}
http_requests_total{absent=~".*"}
http_requests_total{absent=~".+"}
http_requests_total{absent!~"x"}
http_requests_total{instance=~"host-[13]:9100"}
http_requests_total{instance=~"host-[13]"}
http_requests_total{instance=~"ost-1:9100"}
http_requests_total{instance!~"host-[0-2].*"}
http_requests_total{instance=~"host-\\\\d+:\\\\d{4}"}
http_requests_total{code=~"(?i)2.."}
http_requests_total{code=~"4..|5.."}
http_requests_total{code=~"4..",code!="404"}
http_requests_total{code=~"[45]..",code!~"5.*"}
{__name__="up"}
{__name__=~"run_seconds_.*"}
{__name__=~"run_seconds_(sum|count)",stage="test"}
{__name__=~".*_total",job="web",code="404"}
{__name__!~"http.*|odd.*|native.*",instance="host-3:9100"}
{__name__!="up",job="search"}
{job="search"}
{job=~"sea.*"}
{__name__=~"recording:.*"}
recording:rule:sum
{Z="1"}
odd_labels{kind=""}
odd_labels{kind!=""}
odd_labels{value="größer-als-Ω-日本-🙂"}
odd_labels{value=~".*日本.*"}
odd_labels{value=~"gr.ßer.*"}
odd_labels{value="first\\nsecond"}
odd_labels{value=~"first\\nsecond"}
odd_labels{value="say \\"hi\\" \\\\ 'ho'"}
odd_labels{value=~"say \\"hi\\".*"}
odd_labels{value="  padded  "}
odd_labels{value=~"\\\\s+padded\\\\s+"}
odd_labels{value="a.b.c"}
odd_labels{value=~"a\\\\.b\\\\.c"}
odd_labels{value=~"a"}
odd_labels{value=~"(?i:A)"}
odd_labels{value="{\\"a\\": [1]}"}
odd_labels{value="100%s"}
odd_labels{value=~"100%.*"}
nothing_of_this_name
"""

RANGES = """
rate(http_requests_total[5m])
rate(http_requests_total{instance="host-1:9100"}[1m])
irate(http_requests_total[5m])
increase(http_requests_total[10m])
increase(http_requests_total{code=~"5.."}[1h])
delta(memory_usage_bytes[5m])
idelta(memory_usage_bytes[2m])
deriv(memory_usage_bytes{instance="host-0:9100"}[10m])
predict_linear(memory_usage_bytes{instance="host-1:9100"}[10m], 3600)
resets(http_requests_total[1h])
changes(up[30m])
changes(memory_usage_bytes[30m])
avg_over_time(memory_usage_bytes[5m])
min_over_time(memory_usage_bytes[15m])
max_over_time(memory_usage_bytes[15m])
sum_over_time(up[1h])
count_over_time(memory_usage_bytes[1h])
count_over_time(blinking[10m])
stddev_over_time(memory_usage_bytes{instance=~"host-[01].*"}[10m])
stdvar_over_time(memory_usage_bytes{instance=~"host-[01].*"}[10m])
last_over_time(memory_usage_bytes[5m])
last_over_time(short_lived[1h])
present_over_time(short_lived[5m])
absent_over_time(short_lived{end="marker"}[5m])
absent_over_time(nothing_of_this_name[5m])
quantile_over_time(0.9, memory_usage_bytes[10m])
quantile_over_time(0.5, memory_usage_bytes{instance="host-3:9100"}[1h])
holt_winters(memory_usage_bytes{instance="host-0:9100"}[10m], 0.5, 0.5)
timestamp(memory_usage_bytes)
timestamp(sparse)
rate(sparse[20m])
count_over_time(sparse[15m])
sum_over_time(blinking[2m])
avg_over_time(memory_usage_bytes{instance="host-4:9100"}[1h])
max_over_time(memory_usage_bytes{instance="host-5:9100"}[31s])
"""

AGGREGATIONS = """
sum(http_requests_total)
sum by (job) (http_requests_total)
sum by (job, code) (rate(http_requests_total[5m]))
sum without (instance, method) (http_requests_total)
avg by (job) (http_requests_total)
min by (code) (http_requests_total)
max by (code) (http_requests_total)
count by (method) (http_requests_total)
count(count by (instance) (http_requests_total))
group by (instance) ({__name__=~"http_requests_total|memory_usage_bytes"})
stddev by (job) (http_requests_total)
stdvar(memory_usage_bytes{instance!="host-3:9100"})
topk(3, http_requests_total)
bottomk(2, http_requests_total{code="200"})
topk by (job) (1, rate(http_requests_total[5m]))
quantile(0.5, http_requests_total)
quantile by (job) (0.9, http_requests_total)
count_values("value", up)
count by (__name__) ({__name__!=""})
count({__name__=~".+"})
histogram_quantile(0.9, rate(run_seconds_bucket[5m]))
histogram_quantile(0.5, sum by (le) (rate(run_seconds_bucket[10m])))
histogram_quantile(0.99, sum by (le, stage) (increase(run_seconds_bucket[30m])))
histogram_quantile(0, run_seconds_bucket)
histogram_quantile(1, run_seconds_bucket)
rate(run_seconds_sum[5m]) / rate(run_seconds_count[5m])
sum by (stage) (run_seconds_bucket{le="1"}) / sum by (stage) (run_seconds_count)
run_seconds_bucket{le="+Inf"} == ignoring (le) run_seconds_count
"""

TIMES = """
up offset 5m
up offset 1h
up offset -10m
rate(http_requests_total[5m] offset 30m)
http_requests_total{code="200"} - http_requests_total{code="200"} offset 10m
sum(http_requests_total offset 1h)
up @ 1767229200
up @ start()
up @ end()
rate(http_requests_total[5m] @ 1767229200)
rate(http_requests_total[5m] @ end() offset 10m)
max_over_time(rate(http_requests_total[1m])[10m:1m])
min_over_time(rate(http_requests_total{job="api"}[2m])[30m:30s])
avg_over_time(sum by (job) (rate(http_requests_total[1m]))[15m:1m])
max_over_time(memory_usage_bytes[30m:5m])
rate(sum_over_time(up[1m])[10m:1m])
last_over_time(up[10m:3m] offset 7m)
quantile_over_time(0.9, rate(run_seconds_count[1m])[20m:1m])
sum_over_time(max_over_time(up[2m])[10m:2m])
short_lived
short_lived{end="marker"}
short_lived{end="silent"}
short_lived offset 5m
count(short_lived)
blinking
absent(short_lived{end="marker"})
absent(up)
absent(nothing_of_this_name{a="b"})
sparse
changes(short_lived[30m])
resets(short_lived[1h])
"""

OPERATORS = """
up == 1
up == bool 1
up * 2 + 1
-up
up and on () sparse
up or sparse
up unless up == 0
http_requests_total > 1000
memory_usage_bytes > 100 < 110
memory_usage_bytes == memory_usage_bytes
memory_usage_bytes != memory_usage_bytes
1 / memory_usage_bytes{instance="host-4:9100"}
http_requests_total{code="500"} / ignoring (code) http_requests_total{code="200"}
http_requests_total{code="500"} / on (job, instance) group_left http_requests_total{code="404"}
sum by (job) (http_requests_total) / on () group_left sum(http_requests_total)
memory_usage_bytes * on (instance) group_right http_requests_total{job="api",code="404"}
memory_usage_bytes % 7
memory_usage_bytes ^ 2
memory_usage_bytes atan2 2
abs(memory_usage_bytes)
ceil(memory_usage_bytes)
floor(memory_usage_bytes)
round(memory_usage_bytes, 0.5)
clamp(memory_usage_bytes, 95, 105)
clamp_max(memory_usage_bytes, 100)
sqrt(memory_usage_bytes)
ln(memory_usage_bytes)
sgn(memory_usage_bytes)
sort(up)
sort_desc(http_requests_total{code="200"})
label_replace(up, "short", "$1", "job", "(...).*")
label_join(http_requests_total{code="500"}, "both", "-", "job", "instance")
scalar(sparse)
vector(1) + on () group_right () up
hour(timestamp(up))
minute(timestamp(sparse))
"""

NATIVE_HISTOGRAMS = """
native_seconds
native_seconds{stage="test"}
count(native_seconds)
histogram_count(native_seconds)
histogram_sum(native_seconds)
histogram_fraction(0, 2, native_seconds)
histogram_quantile(0.9, native_seconds)
rate(native_seconds[5m])
increase(native_seconds[30m])
histogram_quantile(0.9, rate(native_seconds[5m]))
histogram_count(increase(native_seconds{stage="test"}[1h]))
sum(native_seconds)
sum by (stage) (rate(native_seconds[5m]))
histogram_quantile(0.5, sum(rate(native_seconds[10m])))
histogram_sum(native_seconds offset 30m)
{__name__=~"native_.*|up"}
native_kinds
native_kinds{kind="floats"}
native_kinds{kind=~"custom|negative"}
native_kinds offset 10m
histogram_count(native_kinds)
histogram_sum(native_kinds)
histogram_avg(native_kinds)
histogram_quantile(0.3, native_kinds)
histogram_fraction(-1, 1, native_kinds{kind="negative"})
rate(native_kinds[4m])
increase(native_kinds{kind!="gauge"}[20m])
delta(native_kinds{kind="gauge"}[5m])
resets(native_kinds[30m])
changes(native_kinds[10m])
count_over_time(native_kinds[10m])
last_over_time(native_kinds[3m])
sum_over_time(native_kinds{kind="floats"}[5m])
sum by (kind) (native_kinds{kind=~"grows|finer|stale"})
histogram_quantile(0.9, sum(rate(native_kinds{kind=~"grows|finer|hinted"}[5m])))
present_over_time(native_kinds{kind="after_floats"}[5m])
"""


# since Prometheus 3 a dot matches a newline
DOT_AND_NEWLINE = """
odd_labels{value=~"first.second"}
odd_labels{value=~".*second"}
odd_labels{value!~"first.+"}
"""


def queries_of(version: tuple[int, int]) -> list[str]:
    """The queries that a version of Prometheus has, in order."""
    tables = [SELECTORS, RANGES, AGGREGATIONS, TIMES, OPERATORS]
    if reads_native_histograms(version):
        tables.append(NATIVE_HISTOGRAMS)
    if version >= (3, 0):
        tables.append(DOT_AND_NEWLINE)
    return [line for table in tables for line in table.strip().splitlines()]


def reads_native_histograms(version: tuple[int, int]) -> bool:
    """Whether this version of Prometheus reads native histograms from others."""
    return version >= (2, 43)
