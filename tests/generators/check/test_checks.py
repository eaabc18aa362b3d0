"""Each check of pint has its counterpart: a faulty example of it is refused here too."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon.errors import DefinitionError
from jelmon_generators.checks import CHECKS
from jelmon_generators.compile.rules import Recording
from jelmon_generators.compiler import compile_bundle

BAD = Path(__file__).parents[1] / "bad"
FAULTY = {
    "yaml/parse": ["signals-duplicate-key", "signals-unknown-field", "signals-not-yaml"],
    "promql/syntax": ["signals-no-promql"],
    "promql/series": [
        "signals-unknown-metric",
        "signals-unknown-label",
        "signals-no-such-bucket",
        "signals-impossible-label-value",
    ],
    "promql/counter": ["signals-raw-counter", "signals-arithmetic-with-a-raw-counter"],
    "promql/rate": ["signals-window-too-short", "signals-rate-of-a-gauge", "signals-rate-after-sum"],
    "promql/range_query": ["signals-window-too-long"],
    "promql/offset": ["signals-offset-too-long"],
    "promql/vector_matching": ["signals-sides-never-match", "signals-on-a-missing-label"],
    "promql/features": ["signals-function-behind-a-flag", "signals-newer-than-the-target"],
    "promql/nan": ["signals-zero-by-zero"],
    "promql/impossible": ["alerts-can-never-hold", "alerts-threshold-outside-the-range"],
    "promql/fragile": ["signals-topk", "alerts-ratio-without-duration"],
    "promql/regexp": ["signals-regexp-without-metacharacters", "signals-anchored-regexp"],
    "promql/selector": ["signals-selector-without-a-name"],
    "promql/aggregate": ["signals-job-lost"],
    "promql/performance": ["signals-same-expression"],
    "alerts/comparison": ["signals-threshold-inside", "alerts-no-condition"],
    "alerts/for": ["alerts-duration-is-text"],
    "rule/for": ["alerts-two-days"],
    "alerts/absent": ["alerts-absence-without-duration"],
    "alerts/template": ["alerts-label-lost-before-the-template"],
    "alerts/annotation": ["alerts-without-summary"],
    "alerts/external_labels": ["alerts-labels-of-its-own"],
    "rule/duplicate": [
        *("alerts-duplicate-rule-id", "alerts-two-of-one-name", "alerts-rule-id-of-an-objective"),
        "signals-name-of-an-objective",
    ],
    "rule/label": ["alerts-unknown-severity"],
    "rule/link": ["alerts-missing-runbook"],
    "rule/name": ["signals-bad-name"],
    "rule/owner": ["windows-without-owner"],
    "rule/reject": ["channels-inline-secret"],
    "group/interval": ["bundle-interval-too-long"],
}
OTHERWISE = {  # by construction, or by another command; see the table
    *("pint/comment", "ignore/file", "rule/report", "labels/conflict"),
    *("query/cost", "alerts/count", "rule/dependency"),
}
TARGETS = {"alerts": "rules/alerts/all.yaml"}


def pint_rows(root: Path) -> list[tuple[str, str]]:
    """The table that compares with pint: names of its checks, and what is here."""
    return re.findall(r"^\| (`[^|]*) \| (.*) \|$", (root / "docs/checks.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("check", "example"), [(check, name) for check, names in FAULTY.items() for name in names])
def test_the_faulty_example_is_refused(check: str, example: str, bundle: Path, root: Path) -> None:
    """It does not compile; the message points into the faulty file and has the id that docs/checks.md gives."""
    kind = example.split("-")[0]
    path = TARGETS.get(kind, f"rules/{kind}.yaml")
    (bundle / path).write_bytes((BAD / f"{example}.yaml").read_bytes())

    with pytest.raises(DefinitionError) as caught:
        compile_bundle(bundle)

    places = {problem.path for problem in caught.value.problems}
    assert places & {path, TARGETS["alerts"]}, check  # what a signal does may only matter to an alert
    row = next(text for names, text in pint_rows(root) if f"`{check}`" in names)
    assert {problem.check for problem in caught.value.problems} & set(re.findall(r"JM\d{3}", row)), row


def test_the_table_has_a_row_for_each(root: Path) -> None:
    """docs/checks.md and this test name the same checks."""
    names = {name for row, _ in pint_rows(root) for name in re.findall(r"`([^`]+)`", row)}

    assert names == FAULTY.keys() | OTHERWISE


def test_the_document_has_a_row_for_each_check(root: Path) -> None:
    """Ids, names, and whether a line can be excused are the same in the code and in docs/checks.md."""
    rows = re.findall(
        r"^\| (JM\d+) \| (\S+) \| .* \| (yes|never) \|$", (root / "docs/checks.md").read_text(), re.MULTILINE
    )

    assert rows == [(check.id, check.name, "yes" if check.excusable else "never") for check in CHECKS.values()]
    assert [id_ for id_, _, _ in rows] == sorted({id_ for id_, _, _ in rows})


def test_every_check_has_a_faulty_example() -> None:
    """Each id is in the expected message of one of the bad definitions, or in the tests named here."""
    text = "".join(path.read_text() for path in BAD.glob("*.txt"))
    elsewhere = {"JM002": "test_excuses", "JM007": "test_bad_definitions", "JM024": "test_declarations"}

    assert set(re.findall(r"\[(JM\d{3})\]", text)) | elsewhere.keys() == CHECKS.keys()


def test_a_recording_stands_before_what_reads_it(root: Path) -> None:
    """In every group: what an alert is about was recorded above it, in the same evaluation."""
    for group in compile_bundle(root).groups:
        seen: set[str] = set()
        for rule in group.rules:
            own = {f"jelmore:{name}" for name in group.signals}
            used = set(re.findall(r"jelmore:\w+", rule.expr)) & own
            if isinstance(rule, Recording):
                seen.add(rule.record)
            assert used <= seen, f"{group.name}: {rule}"


def test_the_guide_speaks_of_every_field(root: Path, bundle: Path, golden: Callable[[str, str], None]) -> None:
    """Every field of a definition that the loader reads is in docs/alerting.md."""
    guide = (root / "docs/alerting.md").read_text()
    package = root / "generators/jelmon_generators"
    readers = [
        *(package / "load").glob("*.py"),
        *(package / "model/conditions").glob("*.py"),
        package / "model/channels.py",
    ]
    source = "".join(path.read_text() for path in readers)
    reader = r'\.(?:text|number|duration|flag|choice|texts|items|mapping|entries|plain)\("(\w+)"'
    fields = set(re.findall(reader, source)) - {
        "min",
        "max",
        "at",
        "series",
        "labels",
        "levels",
        "windows",
        "signals",
        "job",
    }

    assert {name for name in fields if name not in guide} == set()
