"""State of a detector as bytes, and detectors whose series were chosen anew: arrays by name, nothing executable."""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jelmon_analyzers.timeseries.online.detector import OnlineDetector

VERSION = 3
_PARTS = ("domain", "season", "spread", "past", "now", "scales", "events", "novelty")
_COUNTERS = ("tick", "slot", "day", "offset")


def save(detector: "OnlineDetector") -> bytes:
    """Arrays and counters of a detector."""
    head = {
        "version": VERSION,
        "series": detector.series,
        "step": detector.layout.step,
        "start": detector.layout.start,
        "worse": detector.worse,
        "zone": detector.zone.name,
        "counters": _counters(detector),
    }
    buffer = io.BytesIO()
    named: dict[str, Any] = dict(arrays(detector))
    np.savez(buffer, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), **named)
    return buffer.getvalue()


def load(kind: type["OnlineDetector"], state: bytes) -> "OnlineDetector":
    """The detector that was saved.

    Raises:
        ValueError: the bytes are damaged, or of another version.
    """
    try:
        with np.load(io.BytesIO(state), allow_pickle=False) as stored:
            head = json.loads(stored["head"].tobytes())
            if head["version"] != VERSION:
                raise ValueError(f"version {head['version']}, this program reads {VERSION}")
            detector = kind(head["series"], head["step"], head["start"], worse=head["worse"], zone=head["zone"])
            for name, array in arrays(detector):
                if stored[name].shape != array.shape:
                    raise ValueError(f"{name} has the wrong shape")
                array[...] = stored[name]
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"not the state of a detector: {error}") from error
    _set_counters(detector, head["counters"])
    return detector


def rearranged(detector: "OnlineDetector", places: Sequence[int | None]) -> "OnlineDetector":
    """A detector whose series are copies of others, or fresh."""
    layout = detector.layout
    new = type(detector)(len(places), layout.step, layout.start, worse=detector.worse, zone=detector.zone.name)
    target = np.array([index for index, place in enumerate(places) if place is not None], dtype=np.intp)
    source = np.array([place for place in places if place is not None], dtype=np.intp)
    shared = {"season.borrowed"}
    for (name, ours), (_, theirs) in zip(arrays(new), arrays(detector), strict=True):
        if name in shared:
            ours[...] = theirs
        else:
            ours[..., target] = theirs[..., source]
    _set_counters(new, _counters(detector))
    return new


def arrays(detector: "OnlineDetector") -> Iterator[tuple[str, NDArray[Any]]]:
    """Everything that a detector has learnt, by name."""
    for name in detector.ARRAYS:
        yield name, getattr(detector, name)
    for part in _PARTS:
        owner = getattr(detector, "announced" if part == "events" else part)
        if owner is None:
            continue
        for name in owner.ARRAYS:
            yield f"{part}.{name}", getattr(owner, name)
    yield "season.borrowed", detector.season.borrowed
    for number, samples in enumerate(detector.scales.samples):
        yield f"scales.samples.{number}", samples


def _counters(detector: "OnlineDetector") -> dict[str, int]:
    counters = {name: getattr(detector, name) for name in _COUNTERS}
    counters |= {"past": detector.past.at, "now": detector.now.at}
    if detector.novelty is not None:
        counters["novelty"] = detector.novelty.at
    return counters


def _set_counters(detector: "OnlineDetector", counters: dict[str, int]) -> None:
    for name in _COUNTERS:
        setattr(detector, name, counters[name])
    detector.past.at, detector.now.at = counters["past"], counters["now"]
    if detector.novelty is not None:
        detector.novelty.at = counters["novelty"]
