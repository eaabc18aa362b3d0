"""What the responder is told: which rules these are, and when maintenance is."""

from jelmon.bundle import rules_file
from jelmon_generators.compiler import Compilation


def text(made: Compilation) -> str:
    """The content of the file."""
    windows = [window for window in made.bundle.windows.values() if window.matchers]
    return rules_file.encode(made.fingerprint, windows)


def render(made: Compilation) -> dict[str, str]:
    """The file."""
    return {rules_file.PATH: text(made)}
