"""``jelmon`` and ``python -m jelmon``. Ctrl-C is silent during imports too."""

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from jelmon.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
