"""What this installation of jelmon has: the files it ships, and how to add an extra to it."""

from pathlib import Path

_BUNDLED = Path(__file__).with_name("bundled")  # made by setup.py when a wheel is built
_CHECKOUT = Path(__file__).parents[2]


def shipped(path: str = "") -> Path:
    """Return a shipped file or folder by its path in the repository, such as ``rules/alerts``.

    Without a path: the folder that holds them all. It belongs to the checkout or the installed wheel: only read it.
    """
    return (_BUNDLED if _BUNDLED.is_dir() else _CHECKOUT) / path


def install_hint(extra: str) -> str:
    """Return how to add the packages of an extra to this installation.

    jelmon is not on a package index, but pip needs none for a package that is installed already.
    """
    return f"pip install 'jelmon[{extra}]' adds what is missing to this installation"
