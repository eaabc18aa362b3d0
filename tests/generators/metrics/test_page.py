"""Pages of metrics are read as Prometheus reads them; faults that change nothing are tolerated, others have a line."""

import re
from pathlib import Path

import pytest

from jelmon_generators.load.metrics import read_metrics
from jelmon_generators.metrics.declaration import Declaration, declared, text
from jelmon_generators.metrics.files import read_page
from jelmon_generators.metrics.page import PageError, parse


def declarations(page: str) -> list[Declaration]:
    """Return what a page declares."""
    return declared(parse(page).families.values())[0]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('# TYPE a_total counter\na_total{b="c"} 1\n', Declaration("a_total", "counter", labels=("b",))),
        ("# TYPE a counter\na_total 1\na_created 2\n# EOF\n", Declaration("a_total", "counter")),
        ("# TYPE a gauge\n# HELP a What\\nit is.\na 0x1F\n", Declaration("a", "gauge", help="What it is.")),
        (
            "# UNIT a seconds\n# TYPE a gauge\na NaN 123\n",
            Declaration("a", "gauge", unit="seconds"),
        ),
        (
            '# TYPE a histogram\na_bucket{le="1"} 1 # {trace="x"} 0.5\na_bucket{le="0.5"} 1\n'
            'a_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
            Declaration("a", "histogram", buckets=(0.5, 1.0)),
        ),
        ('# TYPE a summary\na{quantile="0.5",b="c"} 1\na_sum{b="c"} 1\n', Declaration("a", "summary", labels=("b",))),
        ('# TYPE a info\na_info{version="1"} 1\n', Declaration("a_info", "gauge", labels=("version",))),
        ('# TYPE a stateset\na{a="x"} 1\n', Declaration("a", "gauge", labels=("a",))),
        ("a_total 1\n", Declaration("a_total", "counter")),
        ('a_bucket{le="1"} 1\na_sum 1\na_count 1\n', Declaration("a", "histogram", buckets=(1.0,))),
        ('# TYPE a gauge\na{ b = "c\\"}\\n" , } 1e3\n', Declaration("a", "gauge", labels=("b",))),
        ('# TYPE a gauge\na{job="x",instance="y",b="c"} 1\n', Declaration("a", "gauge", labels=("b",))),
        ('# TYPE a gauge\n{"a",b="c"} 1\n', Declaration("a", "gauge", labels=("b",))),
    ],
    ids=[
        *(
            "a counter",
            "one of OpenMetrics",
            "a gauge",
            "a unit and a timestamp",
            "a histogram with exemplars",
            "a summary",
        ),
        *(
            "an info",
            "a stateset",
            "no type",
            "a histogram without type",
            "odd spaces",
            "labels of the scrape",
            "quotes",
        ),
    ],
)
def test_a_family_is_what_a_query_reads(page: str, expected: Declaration) -> None:
    assert declarations(page) == [expected]


@pytest.mark.parametrize(
    ("page", "line", "reason"),
    [
        ("a 1\nb{c=1} 1\n", 2, "the value of label 'c' is not in quotes"),
        ("a\n", 1, "a has no value"),
        ("a one\n", 1, "the value of a is 'one'"),
        ("a 1 noon\n", 1, "the timestamp of a is 'noon'"),
        ('a{b="c" 1\n', 1, "expected ',' or '}'"),
        ('a{b="c"\n', 1, "expected ',' or '}'"),
        ('a{b="c",b="d"} 1\n', 1, "label 'b' is there twice"),
        ("\n\n<html>\n", 3, "neither a comment nor a sample"),
        ("# TYPE a meter\n", 1, "unknown type 'meter' of a"),
        ('# TYPE a histogram\na_bucket{le="x"} 1\n', 2, "le='x' is not the bound of a bucket"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(page: str, line: int, reason: str) -> None:
    with pytest.raises(PageError, match=re.escape(reason)) as caught:
        parse(page)

    assert caught.value.line == line


@pytest.mark.parametrize(
    ("page", "line", "note"),
    [
        ("\ufeffa 1\n", 1, "byte order mark"),
        ("a 1", 1, "no newline at the end"),
        ("# TYPE a gauge\na 1\n# TYPE a gauge\n", 3, "a second TYPE of a"),
        ("a 1\nb 1\na 2\n", 3, "the samples of a are not in one place"),
    ],
)
def test_a_fault_that_changes_nothing_is_tolerated(page: str, line: int, note: str) -> None:
    """The declarations are those of the page without it; a note says where it is."""
    notes = parse(page).notes

    assert [one.line for one in notes] == [line]
    assert note in notes[0].text
    assert declarations(page)[0].name == "a"


def test_a_family_of_two_types_is_left_out() -> None:
    """Nobody can say which one is right; the others are declared."""
    made, refused = declared(parse("# TYPE a gauge\na 1\n# TYPE a counter\n# TYPE b gauge\nb 1\n").families.values())

    assert [one.name for one in made] == ["b"]
    assert [reason for _, reason in refused] == ["line 3 says that it is a counter, line 1 that it is a gauge"]


def test_recorded_pages_of_forty_systems_are_read(recorded_data: Path, tmp_path: Path) -> None:
    """Each of them can be declared, and what is written can be read again; six families need names in quotes."""
    (tmp_path / "rules/metrics").mkdir(parents=True)
    file = tmp_path / "rules/metrics/a.yaml"
    pages = sorted(
        path for path in (recorded_data / "metrics").rglob("*") if re.search(r"\.(prom|om)(\.gz)?$", path.name)
    )
    left_out = []
    for path in pages:
        made, refused = declared(read_page(path).families.values())
        left_out += [f"{path.name}: {family.name}" for family, _ in refused]
        problems: list[object] = []
        if made:
            file.write_text(text(made, job="a", source=path.name))
            read_metrics(tmp_path, problems)  # type: ignore[arg-type]

        assert problems == [], path.name
    assert len(pages) == 87
    assert len(left_out) == 7, left_out
