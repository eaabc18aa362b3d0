"""The online detector on series whose changes are known, and its saved state."""

import copy
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from jelmon_analyzers import OnlineDetector

Floats = NDArray[np.float64]
MONDAY = 1_700_438_400.0
DAY = 1440
SERIES = 12


def week(days: int, *, series: int = SERIES, seed: int = 1) -> Floats:
    """Minutes of a service: a shape of the day, noise that lasts a while, one series with gaps, one with spikes."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 0.06, (days * DAY, series))
    for row in range(1, len(noise)):
        noise[row] += 0.6 * noise[row - 1]
    minute = np.arange(days * DAY)[:, None]
    values = np.exp(1 + noise + 0.3 * np.sin(2 * np.pi * minute / DAY + np.arange(series)))
    values[random.random(len(values)) < 0.3, 0] = np.nan
    values[random.random(len(values)) < 0.003, 1] *= 8
    return values


@pytest.fixture(scope="module")
def trained() -> OnlineDetector:
    """A detector after five days, Monday to Friday."""
    detector = OnlineDetector(SERIES, 60, MONDAY)
    for row in week(5):
        detector.update_many(row)
    return detector


def feed(detector: OnlineDetector, rows: Floats) -> dict[str, Floats]:
    """All verdicts on rows."""
    verdicts = [detector.update_many(row) for row in rows]
    return {name: np.array([getattr(verdict, name) for verdict in verdicts]) for name in verdicts[0]._fields}


def changed(factor: float, minutes: int, *, seed: int = 2, before: int = 0) -> Floats:
    """The next minutes, multiplied from a minute on."""
    rows = week(1, seed=seed)[: before + minutes].copy()
    rows[before:] *= factor
    return rows


def test_there_is_no_verdict_before_three_days() -> None:
    """A series that is not ready has no score, no change, and is not severe."""
    detector = OnlineDetector(SERIES, 300, MONDAY)
    verdicts = feed(detector, week(2)[::5])

    assert not detector.ready.any()
    assert np.isnan(verdicts["change"]).all()
    assert not verdicts["severe"].any()


def test_usual_days_and_spikes_raise_nothing(trained: OnlineDetector) -> None:
    """Five more hours of the same, spikes included."""
    detector = copy.deepcopy(trained)
    verdicts = feed(detector, week(6)[5 * DAY : 5 * DAY + 300])

    assert detector.baseline.season.borrowed.all(), "Saturday: no weekend was seen yet"
    assert not (verdicts["score"] >= detector.threshold).any()


@pytest.fixture(scope="module")
def on_sunday(trained: OnlineDetector) -> OnlineDetector:
    """After eight days, on a Tuesday: weekends are known."""
    detector = copy.deepcopy(trained)
    for row in week(8)[5 * DAY :]:
        detector.update_many(row)
    return detector


def test_a_doubling_is_one_event_with_its_size(on_sunday: OnlineDetector) -> None:
    """It alarms within a quarter of an hour, once, is severe, and its size is within its interval."""
    detector = copy.deepcopy(on_sunday)
    verdicts = feed(detector, changed(2.0, 60))
    first = (verdicts["score"] >= 1).argmax(axis=0)

    assert (verdicts["score"] >= 1).any(axis=0).all()
    assert (first < 15).all()
    assert ((verdicts["score"] >= 1).sum(axis=0) <= 5).all(), "announced for five minutes, not permanently"
    assert np.abs(verdicts["change"][-1] - 1).max() < 0.15
    covered = (verdicts["lower"][-1] <= 1) & (verdicts["upper"][-1] >= 1)
    assert covered.mean() > 0.8
    assert verdicts["severe"][:15].any(axis=0).all()
    assert np.abs(detector.changed_at - (detector.time - 3600)).max() < 900


def test_a_drop_counts_only_where_down_is_worse(on_sunday: OnlineDetector) -> None:
    """Only changes in the direction that is worse alarm."""
    rows = changed(0.4, 60)
    shares = {}
    for worse in ("up", "down", "both"):
        detector = copy.deepcopy(on_sunday)
        detector.worse = worse
        verdicts = feed(detector, rows)
        shares[worse] = ((verdicts["score"] >= 1).any(axis=0).mean(), verdicts["severe"].any(axis=0).mean())

    assert shares == {"up": (0.0, 0.0), "down": (1.0, 1.0), "both": (1.0, 1.0)}


def test_a_lone_minute_is_no_change(on_sunday: OnlineDetector) -> None:
    """Twenty times the usual for a minute or two."""
    detector = copy.deepcopy(on_sunday)
    rows = changed(1.0, 120)
    rows[30:32] *= 20
    verdicts = feed(detector, rows)

    assert not (verdicts["score"] >= 1).any()
    assert not verdicts["severe"].any()


def test_a_change_that_stays_becomes_the_usual_level(on_sunday: OnlineDetector) -> None:
    """After confirmation the change is 0 and nothing alarms again, but the way back does."""
    detector = copy.deepcopy(on_sunday)
    rows = week(11)[8 * DAY :].copy()
    rows[300 : 2 * DAY] *= 1.8
    verdicts = feed(detector, rows[: 2 * DAY])
    alarms = verdicts["score"] >= 1
    starts = (alarms[1:] & ~alarms[:-1]).sum(axis=0)

    assert starts.tolist() == [1] * SERIES
    assert np.nanmax(np.abs(verdicts["change"][DAY])) < 0.15
    back = feed(detector, rows[2 * DAY : 2 * DAY + 60])
    assert (back["score"] >= 1).any(axis=0).all()
    assert np.nanmax(back["change"][-1]) < -0.3


def test_state_survives(on_sunday: OnlineDetector) -> None:
    """A loaded detector continues with the same verdicts."""
    other = OnlineDetector.load(on_sunday.save())
    rows = changed(1.3, 90)
    ours, theirs = feed(copy.deepcopy(on_sunday), rows), feed(other, rows)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_names_in_saved_state_are_stable() -> None:
    """State that an earlier version saved must still load."""
    names = OnlineDetector(1, 300, MONDAY).arrays().keys()

    assert {name for name in names if "." not in name} == {
        "total", "count", "filled", "seen", "need", "ready", "evidence", "noise", "noises", "kept", "first",
    }  # fmt: skip
    parts = {
        "domain": "kind unit",
        "season": "history curve block borrowed",
        "spread": "history factors total count",
        "past": "ring known sums counts",
        "now": "ring known sums counts",
        "scales": "scale peaks peak days samples.0 samples.1 samples.2 samples.3 samples.4 samples.5",
        "events": "active age calm onset over since",
        "novelty": "ring centre distances scale records",
    }
    expected = {f"{part}.{name}" for part, listed in parts.items() for name in listed.split()}
    assert {name for name in names if "." in name} == expected


@pytest.mark.parametrize("damage", [b"", b"no", b"PK\x03\x04 no archive"])
def test_damaged_state_is_refused(damage: bytes) -> None:
    """The service then relearns from history."""
    with pytest.raises(ValueError, match="not the state of a detector"):
        OnlineDetector.load(damage)


def test_series_can_come_and_go(on_sunday: OnlineDetector) -> None:
    """Series that stay keep what was learned; a new one is not ready."""
    chosen = on_sunday.rearranged([3, None, 5])
    rows = changed(2.0, 30)
    whole, part = feed(copy.deepcopy(on_sunday), rows), feed(chosen, rows[:, [3, 4, 5]])

    np.testing.assert_array_equal(part["score"][:, [0, 2]], whole["score"][:, [3, 5]])
    assert not part["score"][:, 1].any()
    assert chosen.ready.tolist() == [True, False, True]


def test_the_scalar_form_is_the_first_of_one() -> None:
    """One series, plain numbers out."""
    one, many = OnlineDetector(1, 3600, MONDAY), OnlineDetector(1, 3600, MONDAY)
    for hour in range(24 * 12):
        value = 5 + math.sin(hour / 24 * 2 * math.pi) + 0.01 * (hour % 7) + (6 if hour > 270 else 0)
        verdict = one.update(value)
        score, change, lower, upper, severe = many.update_many([value])

        np.testing.assert_equal(tuple(verdict), (score[0], change[0], lower[0], upper[0], severe[0]))
    assert isinstance(verdict.severe, bool)


def test_steps_below_a_minute_are_judged_by_the_minute() -> None:
    """Four values a minute give what their minute gives."""
    fine, coarse = OnlineDetector(3, 15, MONDAY), OnlineDetector(3, 60, MONDAY)
    rows = week(1, series=3)[:200]
    for row in rows:
        expected = coarse.update_many(row)
        for _ in range(4):
            verdicts = fine.update_many(row)

        np.testing.assert_array_equal(verdicts.score, expected.score)
    assert fine.time == coarse.time


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((0, 60, 0.0), "at least 1", id="no series"),
        pytest.param((1, 0, 0.0), "more than 0", id="no step"),
        pytest.param((1, 60, math.nan), "Unix time", id="no start"),
    ],
)
def test_impossible_detectors_are_refused(arguments: tuple[int, float, float], message: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=message):
        OnlineDetector(*arguments)
    with pytest.raises(ValueError, match="expected 2 values"):
        OnlineDetector(2, 60, 0.0).update_many([1.0])
