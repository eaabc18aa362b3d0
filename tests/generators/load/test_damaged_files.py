"""Whatever happens to a hand-written file, there is a message, never a traceback."""

import random
from pathlib import Path

from jelmon.errors import JelmonError
from jelmon_generators.commands.generate import generate

VALUES = (
    "null",
    "[]",
    "{}",
    '""',
    "-1",
    "1e999",
    ".nan",
    "foo",
    "*a",
    "!!int x",
    "|",
    "- a",
    "<<: {a: 1}",
    '"{{ $labels."',
)
CHARACTERS = "{}[]:,\"'#&*!|>%@`\t -0z"


def damage(lines: list[str], chance: random.Random) -> list[str]:
    """One line is lost, doubled, swapped, cut, indented or changed."""
    place = chance.randrange(len(lines))
    line = lines[place]
    match chance.randrange(7):
        case 0:
            return lines[:place] + lines[place + 1 :]
        case 1:
            return [*lines[:place], line, *lines[place:]]
        case 2:
            return lines[:place]
        case 3:
            changed = f"  {line}"
        case 4:
            changed = f"{line.split(':')[0]}: {chance.choice(VALUES)}"
        case 5:
            other = chance.randrange(len(lines))
            lines = [*lines]
            lines[place], changed = lines[other], lines[other]
            lines[other] = line
        case _:
            cut = chance.randrange(len(line) + 1)
            changed = line[:cut] + chance.choice(CHARACTERS) + line[cut + 1 :]
    return [*lines[:place], changed, *lines[place + 1 :]]


def test_a_damaged_file_is_refused_or_compiles(bundle: Path) -> None:
    """200 times, another file and another damage each time."""
    chance = random.Random(20260131)
    files = sorted((bundle / "rules").rglob("*.yaml"))
    refused = 0
    for _ in range(200):
        path = chance.choice(files)
        whole = path.read_text()
        path.write_text("\n".join(damage(whole.split("\n"), chance)))
        try:
            generate(bundle)
        except JelmonError:
            refused += 1
        path.write_text(whole)

    assert 100 < refused < 200
