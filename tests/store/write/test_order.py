"""Series are recognised by the order in which they come; whatever the order, what is read is the same."""

import random
from collections.abc import Iterable, Iterator

import pytest
from tests.store.write.decoder import Decoder, NothingAtOnce, content
from tests.store.write.sender import STALE, RequestV2, bits, labels_of, v1, v1_series

from jelmon_store.series.cache import KeyTable
from jelmon_store.wire import snappy

START = 1_780_000_000_000
LONG_HELP = "What it counts. " * 20


def message(version: str, rows: list[tuple[int, int, int]]) -> bytes:
    """A request with one sample of each series: number, time, bits."""
    if version == "1.0":
        return snappy.decompress(v1(*(v1_series(_labels(i), [(at, value)]) for i, at, value in rows)))
    request = RequestV2()
    for i, at, value in rows:
        request.add(_labels(i), [(at, value, START if i % 3 else 0)], metadata=(1, LONG_HELP if i % 7 else "", "s"))
    return snappy.decompress(request.body())


def _labels(i: int) -> list[tuple[str, str]]:
    return labels_of(f"m{i % 9}", instance=f"10.0.0.{i // 40}", path="/" + "x" * (i % 150), i=str(i))


def requests(random_: random.Random, count: int, size: int) -> Iterator[list[tuple[int, int, int]]]:
    """What a Prometheus sends: the same series in the same order, cut elsewhere each time; and what disturbs that."""
    order, new, begin = list(range(400)), 400, 0
    for number in range(count):
        rows = [(order[(begin + at) % len(order)], START + number * 1000, bits(at + 1.0)) for at in range(size)]
        begin += size
        for _ in range(random_.choice([0, 0, 1, 3, 40])):
            at = random_.randrange(len(rows))
            i, moment, _ = rows[at]
            match random_.randrange(6):
                case 0:
                    rows[at] = (i, moment, 0)
                case 1:
                    rows[at] = (i, moment, STALE)
                case 2:
                    del rows[at]
                case 3:
                    new += 1
                    rows.insert(at, (new, moment, bits(7.0)))
                    order.insert(random_.randrange(len(order)), new)
                case 4:
                    rows[at] = (i, 17, bits(8.0))  # a time of another length
                case _:
                    other = random_.randrange(len(rows))
                    rows[at], rows[other] = rows[other], rows[at]
        yield rows


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_is_read_does_not_depend_on_the_order(version: str, seed: int) -> None:
    """Beside a decoder that parses everything; the slots of series are given up now and then."""
    random_ = random.Random(seed)
    known = Decoder(version, KeyTable())
    for number, rows in enumerate(requests(random_, 25, 120)):
        request = message(version, rows)
        fresh = Decoder(version, NothingAtOnce())
        fresh.ids = known.ids
        parsed = content(fresh, fresh.decode(request))

        assert content(known, known.decode(request)) == parsed
        assert len(parsed[0]) == len(rows)
        if number % 15 == 14 and known.table.runs is not None:
            known.table.runs.forget()


class _Counting(KeyTable):
    """Keys that count how often one is looked up."""

    looked_up = 0

    def codes(self, keys: Iterable[bytes]) -> list[int]:
        wanted = list(keys)
        self.looked_up += len(wanted)
        return super().codes(wanted)

    def code(self, key: bytes) -> int:
        self.looked_up += 1
        return super().code(key)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_series_in_the_usual_order_are_not_looked_up(version: str) -> None:
    """Wherever the requests are cut, and although some values become 0 or another number."""
    table = _Counting()
    known = Decoder(version, table)
    before = 0
    for number in range(20):
        rows = [
            ((number * 150 + at) % 400, START + number * 1000, bits(float(number)) if at != 75 else 0)
            for at in range(150)
        ]
        known.decode(message(version, rows))
        if number == 9:
            before = table.looked_up

    assert table.looked_up - before < 10 * 150 / 4


def test_two_series_whose_numbers_follow_each_other_are_not_taken_for_one() -> None:
    """In 2.0 the numbers of the labels are compared, so where a series ends must be compared too."""
    pairs = [("__name__", "a"), ("b", "c"), ("__name__", "d"), ("e", "f")]
    known = Decoder("2.0", KeyTable())
    divided = [pairs[:2], pairs[2:]], [[*pairs[:2], ("e", "f")], [pairs[2]]], [pairs[:1], [*pairs[1:]]]
    for _ in range(3):
        for parts in divided:
            request = RequestV2()
            for labels in parts:
                request.add(labels, [(START, bits(1.0))])
            fresh = Decoder("2.0", NothingAtOnce())
            fresh.ids = known.ids
            raw = snappy.decompress(request.body())

            assert content(known, known.decode(raw)) == content(fresh, fresh.decode(raw))
