"""The series of a request of 2.0 in the usual layout, all at once: label references, one sample, perhaps metadata."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jelmon_store.series.cache import SLOT_MASK, KeyTable
from jelmon_store.series.runs import Met, Runs, Walk
from jelmon_store.wire.fields import field_sizes
from jelmon_store.wire.symbols import Numbers
from jelmon_store.wire.tails import STARTED, ZERO, Bools, Bytes, Ints, items_at, read_heads

_LABELS_TAG, _METADATA_TAG = 0x0A, 0x2A
_LONG = 128  # bytes of references; more take the protobuf parser
_PADDING = bytes(2 + _LONG + STARTED)  # what is read behind the last series stays inside the array
_ONES = np.uint64(0x0101010101010101)
_EMPTY_METADATA = 2
_HASHED_METADATA = 24  # bytes; type and two references of up to four bytes are 14
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xFF51AFD7ED558CCD], np.uint64)  # odd


@dataclass(slots=True)
class MetadataFields:
    """Where the metadata of each series is in the buffer; without metadata, both ends are equal."""

    buffer: bytes
    begins: Ints
    ends: Ints

    def distinct(self, metrics: Ints) -> list[tuple[int, bytes]]:
        """Return all metadata that differ with their metrics, as on the wire, without those that are empty."""
        sizes = self.ends - self.begins
        told = np.flatnonzero(sizes > _EMPTY_METADATA)
        if not len(told):
            return []
        # the series of a metric repeat its metadata: find one of each by a hash of the metric and the bytes
        stream = np.frombuffer(self.buffer, np.uint8)
        window = items_at(stream, self.begins[told], _HASHED_METADATA)
        window = window * (np.arange(_HASHED_METADATA) < sizes[told][:, None])
        words = np.ascontiguousarray(window).view(np.uint64)
        mixed = metrics[told].astype(np.uint64) * _MIX[0]
        for number in range(words.shape[1]):
            mixed = (mixed ^ words[:, number]) * _MIX[number + 1]
        _, first = np.unique(mixed, return_index=True)
        chosen = np.union1d(told[first], told[sizes[told] > _HASHED_METADATA])
        bounds = zip(self.begins[chosen].tolist(), self.ends[chosen].tolist(), strict=True)
        return [
            (metric, self.buffer[begin:end])
            for metric, (begin, end) in zip(metrics[chosen].tolist(), bounds, strict=True)
        ]


@dataclass(slots=True)
class SeriesRead:
    """The series that could be read; ``rest`` are the positions of the others."""

    codes: Ints
    times: Ints
    bits: NDArray[np.uint64]
    metadata: MetadataFields
    start_codes: Ints
    starts: Ints
    rest: list[int]


def read_series(message: bytes, series: list[bytes], numbers: Numbers, keys: KeyTable) -> SeriesRead:
    """Read series; ``message`` may be what they were read from. ``numbers`` are those of the request's symbols."""
    lengths = np.fromiter(map(len, series), np.int64, len(series))
    ends = np.cumsum(field_sizes(lengths))
    if not series:
        none = np.zeros(0, np.int64)
        return SeriesRead(none, none, none.astype(np.uint64), MetadataFields(b"", none, none), none, none, [])
    if int(ends[-1]) != len(message):  # there is more than series in usual form
        message, ends = b"".join(series), np.cumsum(lengths)
    buffer = message + _PADDING
    stream = np.frombuffer(buffer, np.uint8)
    begins = ends - lengths
    sizes = stream[begins + 1].astype(np.int64)  # of the references
    usable = (stream[begins] == _LABELS_TAG) & (sizes > 0) & (sizes < _LONG) & (lengths >= sizes + 2 + ZERO)
    sample_at = np.where(usable, begins + 2 + sizes, begins)
    samples = read_heads(stream, sample_at)
    # behind the sample there is nothing, or metadata to the end
    tail = ends - samples.ends
    usable &= samples.right & (
        (tail == 0) | ((tail >= 2) & (stream[samples.ends] == _METADATA_TAG) & (stream[samples.ends + 1] == tail - 2))
    )
    codes = _find(stream, begins + 2, np.where(usable, sizes, 0), numbers, keys)
    found = np.flatnonzero(codes >= 0)
    codes, starts = codes[found], samples.starts[found]
    begun = starts > 0
    return SeriesRead(
        codes,
        samples.times[found],
        samples.bits[found],
        MetadataFields(buffer, samples.ends[found], ends[found]),
        codes[begun],
        starts[begun],
        np.setdiff1d(np.arange(len(series)), found, assume_unique=True).tolist() if len(found) < len(series) else [],
    )


def _find(stream: Bytes, begins: Ints, sizes: Ints, numbers: Numbers, keys: KeyTable) -> Ints:
    """Return the codes of series by the references that begin at ``begins``, -1 for those that are not found."""
    codes = np.full(len(sizes), -1, np.int64)
    largest = int(sizes.max(initial=0))
    if not largest:
        return codes
    window = items_at(stream, begins, (largest + 7) // 8 * 8)
    last = window < 0x80
    # a varint must not reach out of the references
    sizes = np.where(last[np.arange(len(sizes)), sizes - 1], sizes, 0)
    inside = np.arange(window.shape[1], dtype=np.uint8) < sizes.astype(np.uint8)[:, None]
    last &= inside
    references = _varints(window, last, inside)
    if references is None or not len(references) or int(references.max()) >= len(numbers):
        return codes
    ids = numbers[references]
    # each row of `last` is words of bytes that are 0 or 1: their sum is in the highest byte of a product
    words = last.view(np.uint64).T.copy()
    counts = (words.sum(axis=0) * _ONES >> np.uint64(56)).view(np.int64)
    if not isinstance(keys.runs, Runs):
        keys.runs = Runs(np.zeros(0, np.uint32), keys.room, keys.places)
    _follow(ids, np.cumsum(counts), codes, keys.runs, keys)
    return codes


def _varints(window: Bytes, last: Bools, inside: Bools) -> Numbers | None:
    """Return the numbers whose last bytes are given, row after row; None if one is longer than three bytes."""
    window[:, -1] &= 0x7F  # it is a last byte or not inside: nothing may go over into the next row
    flat, chosen = window.reshape(-1), last.reshape(-1)
    if not (flat >= 0x80).any():
        return flat[chosen].astype(np.uint32)
    values = flat.astype(np.uint16)
    # the number is `values`, or `values << 7 | before & 0x7F` where the byte before says that more follows
    more = values[:-1] >> 7
    added = values[1:] * np.uint16(0x7F)
    added += values[:-1]
    added -= np.uint16(0x80)
    added *= more
    longer = more[1:] & more[:-1]
    if not longer.any() or not (longer.astype(np.bool_) & inside.reshape(-1)[2:]).any():
        values[1:] += added
        return values[chosen].astype(np.uint32)
    if (longer[1:] & more[:-2] & inside.reshape(-1)[3:]).any():
        return None
    return _varints_of_three_bytes(flat)[chosen]


def _varints_of_three_bytes(flat: Bytes) -> Numbers:
    more, low = flat >= 0x80, (flat & 0x7F).astype(np.uint32)
    values = low.copy()
    values[1:] += np.where(more[:-1], low[1:] * 0x7F + low[:-1], 0)
    three = more[1:-1] & more[:-2]
    values[2:] = np.where(three, low[2:] << 14 | low[1:-1] << 7 | low[:-2], values[2:])
    return values


def _follow(ids: Numbers, ends: Ints, codes: Ints, runs: Runs, keys: KeyTable) -> None:
    """Set the codes of series whose symbol numbers end at ``ends``: by their order, else by a look-up."""
    begins = np.concatenate([[0], ends[:-1]])
    present = ends > begins
    at, walk = 0, Walk()
    if runs.worthwhile:
        while at < len(ends):
            if not present[at]:
                at += 1
                continue
            record = walk.record
            count = _same_bounds(ends, at, runs, record, runs.follow(record, ids, int(begins[at])))
            if count:
                codes[at : at + count] = runs.values[record : record + count]
                at += count
                walk.go(count)
                continue
            code = keys.code(ids[begins[at] : ends[at]].tobytes())
            met = walk.meet(runs.place_of(code & SLOT_MASK) if code >= 0 else -1)
            if met is Met.STOP:
                break
            if met is Met.ALONE:
                codes[at] = code
                at += 1
        runs.note(walk)
    if at < len(ends):
        raw, size = ids.tobytes(), ids.itemsize
        bounds = zip((begins[at:] * size).tolist(), (ends[at:] * size).tolist(), strict=True)
        codes[at:] = keys.codes([raw[begin:end] for begin, end in bounds])
        codes[at:][~present[at:]] = -1
        _learn(ids, begins, ends, at, codes, runs)


def _same_bounds(ends: Ints, at: int, runs: Runs, record: int, count: int) -> int:
    """Return how many of ``count`` records with the right numbers are also divided as the series from ``at`` on."""
    if not count:
        return 0
    before = int(ends[at - 1]) if at else 0
    right = ends[at : at + count] - before
    right = right == runs.ends[record + 1 : record + 1 + len(right)] - runs.ends[record]
    return len(right) if right.all() else int((~right).argmax())


def _learn(ids: Numbers, begins: Ints, ends: Ints, at: int, codes: Ints, runs: Runs) -> None:
    """Keep the series from a position on that have no record yet, those that follow one another together."""
    of_slot = runs.places.of_slot
    slots = np.where(codes >= 0, codes & SLOT_MASK, 0)
    fresh = np.flatnonzero((codes >= 0) & (of_slot[slots] < 0))
    fresh = fresh[fresh >= at]
    for part in np.split(fresh, np.flatnonzero(np.diff(fresh) != 1) + 1):
        if not len(part):
            continue
        before = runs.count
        if not runs.append(ids[begins[part[0]] : ends[part[-1]]], ends[part] - begins[part], codes[part]):
            return
        of_slot[slots[part]] = np.arange(before, runs.count)
