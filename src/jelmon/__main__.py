"""``python -m jelmon``."""

import sys

from jelmon.cli import main

sys.exit(main())
