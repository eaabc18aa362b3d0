"""Named arrays and a JSON head as bytes (NumPy's npz format); nothing in them is executable."""

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

VERSION = 3
_HEAD = "head"


def pack(head: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Return the bytes that `unpack` reads."""
    buffer = io.BytesIO()
    coded = json.dumps({"version": VERSION, **head}).encode()
    named: dict[str, Any] = {_HEAD: np.frombuffer(coded, dtype=np.uint8), **arrays}
    np.savez(buffer, **named)
    return buffer.getvalue()


@contextlib.contextmanager
def unpack(state: bytes) -> Iterator[tuple[dict[str, Any], Mapping[str, Array]]]:
    """Yield the head and the arrays; each array is decoded when it is looked up, to keep memory low.

    Raises:
        ValueError: the bytes are damaged or of another version, or the body of the ``with`` statement does not find
            what it expects in them.
    """
    try:
        with np.load(io.BytesIO(state), allow_pickle=False) as stored:
            head = json.loads(stored[_HEAD].tobytes())
            if head["version"] != VERSION:
                raise ValueError(f"version {head['version']}, this program reads {VERSION}")
            yield head, stored
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"not the state of a detector: {error}") from error
