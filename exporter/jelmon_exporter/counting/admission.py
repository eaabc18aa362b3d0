"""The limit on label values: which of them get series of their own."""

from jelmon_exporter.series.cells import OVERFLOW, real


class Admission:
    """Counts the values of each label. Shared by all partitions of a process; each is a holder of values."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[tuple[str, ...], dict[str, set[object]]] = {}

    def admit(self, scope: tuple[str, ...], value: str, holder: object) -> str:
        """Return the label value to expose: ``value``, or `OVERFLOW` if the scope is at its limit."""
        shown = real(value)
        held = self._held.setdefault(scope, {})
        holders = held.get(shown)
        if holders is None:
            if len(held) >= self._limit:
                return OVERFLOW
            holders = held[shown] = set()
        holders.add(holder)
        return shown

    def readmit(self, scope: tuple[str, ...], shown: str, holder: object) -> None:
        """Admit a value that had series before a restart, whatever the limit is now."""
        if shown != OVERFLOW:
            self._held.setdefault(scope, {}).setdefault(shown, set()).add(holder)

    def release(self, scope: tuple[str, ...], shown: str, holder: object) -> None:
        """Release a holder's value; once no holder has it, another value can be admitted."""
        held = self._held.get(scope, {})
        holders = held.get(shown, set())
        holders.discard(holder)
        if not holders:
            held.pop(shown, None)
        if not held:
            self._held.pop(scope, None)

    def release_all(self, holder: object) -> None:
        """Release every value of a holder."""
        for scope, held in list(self._held.items()):
            for shown in list(held):
                self.release(scope, shown, holder)
