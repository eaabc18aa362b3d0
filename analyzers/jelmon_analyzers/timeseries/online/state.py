"""The state interface of the parts of a detector."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Indices = NDArray[np.intp]


class Part(ABC):
    """A part of a detector that loads and copies its own state.

    The state is what `arrays` and `counters` return; everything else follows from the arguments of the constructor or
    can be recomputed. The last axis of an array is the series, except for the names in ``SHARED``.
    """

    SHARED: ClassVar[frozenset[str]] = frozenset()
    """Names of arrays that all series share."""

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the state by name: the arrays themselves, not copies."""

    def counters(self) -> dict[str, int]:
        """Return the plain numbers of the state by name."""
        return {}

    def set_counters(self, counters: Mapping[str, int]) -> None:
        """Set the numbers that `counters` returns.

        Raises:
            KeyError: one is missing.
            ValueError: the part has no counters.
        """
        if counters:
            raise ValueError(f"{type(self).__name__} has no counters")

    def load(self, stored: Mapping[str, Array], prefix: str) -> None:
        """Copy the arrays stored under ``prefix`` plus their name into this part.

        Raises:
            KeyError: an array is missing.
            ValueError: an array has the wrong shape.
        """
        for name, array in self.arrays().items():
            saved = stored[prefix + name]
            if saved.shape != array.shape:
                raise ValueError(f"{prefix}{name} has the wrong shape")
            array[...] = saved

    def copy_series(self, source: "Part", *, columns: Indices, into: Indices) -> None:
        """Copy the series ``columns`` of another detector's part into the series ``into`` of this one."""
        theirs = source.arrays()
        for name, array in self.arrays().items():
            if name in self.SHARED:
                array[...] = theirs[name]
            else:
                array[..., into] = theirs[name][..., columns]
