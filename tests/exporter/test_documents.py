"""The table of guarantees names tests that exist."""

import re
from pathlib import Path


def test_every_test_named_in_the_guarantees_exists(root: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", (root / "docs/guarantees.md").read_text(encoding="utf-8")))
    code = "\n".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("test_*.py"))
    known = set(re.findall(r"def (test_\w+)\(", code))

    assert len(named) > 20
    assert named <= known
