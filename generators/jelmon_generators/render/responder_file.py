"""Render the file that the responder reads: the fingerprint of the rules and the maintenance windows."""

from jelmon.bundle import rules_file
from jelmon_generators.compiler import Compilation


def text(made: Compilation) -> str:
    """Return the content of the file."""
    windows = [window for window in made.bundle.windows.values() if window.matchers]
    return rules_file.encode(made.fingerprint, windows)


def render(made: Compilation) -> dict[str, str]:
    """Return the file."""
    return {rules_file.PATH: text(made)}
