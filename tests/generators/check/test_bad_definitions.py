"""One faulty definition file for each mistake, with the exact message.

``bad/<file>-<mistake>.yaml`` stands in for ``rules/<file>.yaml`` of the small bundle.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from jelmon.errors import DefinitionError
from jelmon_generators.compiler import compile_bundle

BAD = Path(__file__).parents[1] / "bad"
TARGETS = {"alerts": "rules/alerts/all.yaml"}


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_mistake_is_named_with_its_place_and_what_to_do(
    path: Path, bundle: Path, golden: Callable[[str, str], None]
) -> None:
    """The message quotes the guilty line, underlines it and gives a hint."""
    kind = path.stem.split("-")[0]
    (bundle / TARGETS.get(kind, f"rules/{kind}.yaml")).write_bytes(path.read_bytes())

    with pytest.raises(DefinitionError) as caught:
        compile_bundle(bundle)

    golden(f"../bad/{path.stem}.txt", f"{caught.value}\n")


def test_every_message_has_its_mistake() -> None:
    """No expected message is left over."""
    assert {path.stem for path in BAD.glob("*.yaml")} == {path.stem for path in BAD.glob("*.txt")}


def test_all_faults_of_all_files_are_told_at_once(bundle: Path) -> None:
    """Two files with two faults each give four problems, in file order."""
    for name in ("channels-inline-secret", "escalations-unknown-channel"):
        (bundle / f"rules/{name.split('-')[0]}.yaml").write_bytes((BAD / f"{name}.yaml").read_bytes())

    with pytest.raises(DefinitionError) as caught:
        compile_bundle(bundle)

    places = [(problem.path, problem.line) for problem in caught.value.problems]
    assert places == sorted(places)
    assert {path for path, _ in places} == {"rules/channels.yaml", "rules/escalations.yaml"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("signals.yaml", "rules/signals.yaml: no signals are declared"),
        ("channels.yaml", "rules/channels.yaml: no channels are declared"),
        ("escalations.yaml", "unknown escalation 'standard'"),
        ("alerts/all.yaml", "rules/alerts: no alert definitions found"),
    ],
)
def test_a_missing_file_is_missed(name: str, message: str, bundle: Path) -> None:
    """What relies on it cannot compile."""
    (bundle / "rules" / name).unlink()

    with pytest.raises(DefinitionError) as caught:
        compile_bundle(bundle)

    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["bundle.yaml", "slos.yaml", "windows.yaml"])
def test_the_other_files_are_optional(name: str, bundle: Path) -> None:
    """Defaults, no objectives, no windows."""
    (bundle / "rules" / name).unlink()

    assert compile_bundle(bundle).groups


def test_a_file_that_nobody_reads_is_refused(bundle: Path) -> None:
    """A misspelt file name is no silent loss of definitions."""
    (bundle / "rules/signal.yaml").write_text("signals: {}\n")

    with pytest.raises(DefinitionError, match=r"rules/signal\.yaml: unknown file, never read \[JM007\]"):
        compile_bundle(bundle)
