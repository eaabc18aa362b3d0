"""The limit on samples a second of each tenant."""

import time
from collections.abc import Callable

from jelmon_store.wire.errors import BusyError

_BURST_SECONDS = 10
_TENANTS = 10_000


class SampleRate:
    """Allows each tenant so many samples a second, and ten seconds of that at once."""

    def __init__(self, per_second: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._tenants: dict[str, tuple[float, float]] = {}  # samples left, when

    def spend(self, tenant: str, samples: int) -> None:
        """Count samples of a tenant.

        Raises:
            BusyError: the tenant is over its limit; its sender repeats the request later.
        """
        if self._per_second is None:
            return
        now = self._clock()
        most = float(self._per_second * _BURST_SECONDS)
        left, counted = self._tenants.get(tenant, (most, now))
        left = min(most, left + (now - counted) * self._per_second)
        if left < min(samples, most):
            raise BusyError(f"more than {self._per_second} samples a second", hint="send again later")
        if len(self._tenants) >= _TENANTS:
            self._tenants.clear()
        self._tenants[tenant] = (left - samples, now)
