"""The compiler's output for the responder: reloaded when the file changes, exported as gauges.

When a changed file cannot be read, the previous content stays in effect and /health reports it.
"""

import logging
from datetime import datetime
from pathlib import Path

from jelmon.bundle.maintenance import Maintenance, Occurrence, occurrences
from jelmon.bundle.rules_file import decode
from jelmon.bundle.timeline import Timeline
from jelmon.catalogue import MAINTENANCE_END, MAINTENANCE_START, RULES_FINGERPRINT
from jelmon.errors import ConfigError
from jelmon.service.registry import Instruments
from jelmon.service.web import Check

logger = logging.getLogger(__name__)


class CompiledRules:
    """The file of ``--rules.file``.

    Raises:
        ConfigError: the file cannot be read.
    """

    def __init__(self, path: Path, instruments: Instruments) -> None:
        self._path = path
        self._instruments = instruments
        self._content = b""
        self._shown: set[str] = set()
        self._current: dict[str, tuple[datetime, Occurrence | None]] = {}
        self._windows: tuple[Maintenance, ...] = ()
        self.timeline = Timeline()
        self.check = Check(True, "", needed=False)
        self._read()

    def refresh(self, now: datetime) -> None:
        """Reload the file if it changed, and update the gauges of open and upcoming windows.

        A rare recurrence takes seconds to expand: call it in a thread.
        """
        try:
            self._read()
        except ConfigError as error:
            if self.check.ok:
                logger.error("cannot read the compiled rules", extra={"error": error.message, "hint": error.hint})
            self.check = Check(False, error.message, needed=False)
        shown = set()
        for window in self._windows:
            occurrence = self._occurrence(window, now)
            if occurrence is None:
                continue
            shown.add(window.name)
            self._instruments.set(MAINTENANCE_START, occurrence.starts.timestamp(), window=window.name)
            self._instruments.set(MAINTENANCE_END, occurrence.ends.timestamp(), window=window.name)
        for name in self._shown - shown:
            self._instruments.forget(MAINTENANCE_START, window=name)
            self._instruments.forget(MAINTENANCE_END, window=name)
        self._shown = shown

    def _occurrence(self, window: Maintenance, now: datetime) -> Occurrence | None:
        """Return the open or the next occurrence; it is computed again when it has ended or the clock went back."""
        since, occurrence = self._current.get(window.name, (None, None))
        if since is None or now < since or (occurrence is not None and occurrence.ends <= now):
            occurrence = next(occurrences(window, now), None)
            self._current[window.name] = (now, occurrence)
        return occurrence

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"--rules.file: cannot read {self._path}: {error.strerror}", hint="`jelmon generate` renders it"
            ) from error
        if content != self._content:
            file = decode(content)
            self._content, self._windows = content, file.windows
            self._current, self.timeline = {}, Timeline(file.windows)
            self._instruments.set(RULES_FINGERPRINT, file.fingerprint)
        self.check = Check(True, f"{len(self._windows)} windows", needed=False)
