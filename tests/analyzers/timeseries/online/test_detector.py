"""The online detector: against plain recomputation, and on series of which we know what happened."""

import copy
import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray

from jelmon_analyzers import OnlineDetector
from jelmon_analyzers.timeseries.nan_statistics import median
from jelmon_analyzers.timeseries.online.baseline.day_ring import move_blocks
from jelmon_analyzers.timeseries.online.baseline.domain import Domain
from jelmon_analyzers.timeseries.online.baseline.season import Season
from jelmon_analyzers.timeseries.online.baseline.spread import Spread
from jelmon_analyzers.timeseries.online.evidence.scales import Scales
from jelmon_analyzers.timeseries.online.evidence.windows import Windows
from jelmon_analyzers.timeseries.online.time_grid.layout import Layout
from jelmon_analyzers.timeseries.online.time_grid.zone import Zone

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


def test_running_sums_are_the_means_of_the_values() -> None:
    """However long it runs, each window and its reference equal a plain mean over what was pushed."""
    random = np.random.default_rng(4)
    values = random.normal(size=(500, 3))
    values[random.random(values.shape) < 0.2] = np.nan
    windows = Windows(3, (2, 7, 20), (30, 84, 100), 100)
    for row in values:
        windows.push(row)
    difference, counts, reference_counts, reference = windows.compare()
    for number, (window, length) in enumerate(((2, 30), (7, 84), (20, 100))):
        with np.errstate(invalid="ignore"):
            before = values[-window - length : -window]
            expected = np.nanmean(before, axis=0)
            recent = np.array([np.mean(c[np.isfinite(c)]) for c in values[-window:].T])

        np.testing.assert_allclose(reference[number], expected, atol=1e-5)
        np.testing.assert_allclose(difference[number], recent - expected, atol=1e-5)
        assert counts[number].tolist() == np.isfinite(values[-window:]).sum(axis=0).tolist()
        assert reference_counts[number].tolist() == np.isfinite(before).sum(axis=0).tolist()


def test_the_usual_value_follows_the_day() -> None:
    """After a week the curve is the shape of the day, and flat where there is no shape."""
    layout = Layout(60, MONDAY)
    season = Season(layout, 2)
    random = np.random.default_rng(2)
    shape = np.sin(2 * np.pi * np.arange(DAY) / DAY)
    for day in range(5):
        for slot in range(DAY):
            season.add(day, slot, np.array([shape[slot], 0.0]) + random.normal(0, 0.2, 2))
        season.next_day(day + 1, 0)

        assert not (season.borrowed.any() and day < 4), "only Saturday has no day of its class yet"
    curve = np.array([season.at(slot) for slot in range(DAY)])

    assert np.abs(curve[:, 0] - shape).max() < 0.1
    assert np.abs(curve[:, 1]).max() < 0.05
    assert season.borrowed.all()


def test_medians_ignore_what_is_missing() -> None:
    """As numpy's nanmedian, without its warnings."""
    random = np.random.default_rng(6)
    values = random.normal(size=(9, 40))
    values[random.random(values.shape) < 0.5] = np.nan
    values[:, 7] = np.nan
    some = np.isfinite(values).any(axis=0)

    np.testing.assert_allclose(median(values)[some], np.nanmedian(values[:, some], axis=0))
    assert np.isnan(median(values)[7])


@pytest.mark.parametrize(
    ("values", "level"),
    [
        pytest.param([1.0, 2.0, 4.0] * 10, 2.0, id="positive"),
        pytest.param([0.0, 0.0, 3.0, 5.0] * 10, 3.0, id="with zeros"),
        pytest.param([-2.0, -1.0, 3.0] * 10, 3.0, id="with negatives"),
    ],
)
def test_a_domain_gives_back_what_went_in_and_knows_ratios(values: list[float], level: float) -> None:
    """Whatever the domain, going there and back is nothing, and a doubling is a change of 1."""
    domain = Domain(1)
    domain.choose(np.array(values)[:, None])
    there = domain.apply(np.array([level]))
    doubled = domain.apply(np.array([2 * level]))

    assert domain.invert(there)[0] == pytest.approx(level)
    assert domain.ratio(there, doubled - there)[0] == pytest.approx(1.0)


def test_there_is_no_verdict_before_three_days() -> None:
    """Not ready is a state of its own: no score, no change, not severe."""
    detector = OnlineDetector(SERIES, 300, MONDAY)
    told = feed(detector, week(2)[::5])

    assert not detector.ready.any()
    assert np.isnan(told["change"]).all()
    assert not told["severe"].any()


def test_usual_days_and_spikes_raise_nothing(trained: OnlineDetector) -> None:
    """Five more hours of the same, spikes included."""
    detector = copy.deepcopy(trained)
    told = feed(detector, week(6)[5 * DAY : 5 * DAY + 300])

    assert detector.baseline.season.borrowed.all(), "Saturday: no weekend was seen yet"
    assert not (told["score"] >= detector.threshold).any()


@pytest.fixture(scope="module")
def on_sunday(trained: OnlineDetector) -> OnlineDetector:
    """After eight days, on a Tuesday: weekends are known."""
    detector = copy.deepcopy(trained)
    for row in week(8)[5 * DAY :]:
        detector.update_many(row)
    return detector


def test_a_doubling_is_one_event_with_its_size(on_sunday: OnlineDetector) -> None:
    """Found within a quarter of an hour, announced once, its size within its interval, severe."""
    detector = copy.deepcopy(on_sunday)
    told = feed(detector, changed(2.0, 60))
    first = (told["score"] >= 1).argmax(axis=0)

    assert (told["score"] >= 1).any(axis=0).all()
    assert (first < 15).all()
    assert ((told["score"] >= 1).sum(axis=0) <= 5).all(), "announced for five minutes, not for ever"
    assert np.abs(told["change"][-1] - 1).max() < 0.15
    covered = (told["lower"][-1] <= 1) & (told["upper"][-1] >= 1)
    assert covered.mean() > 0.8
    assert told["severe"][:15].any(axis=0).all()
    assert np.abs(detector.changed_at - (detector.time - 3600)).max() < 900


def test_a_drop_counts_only_where_down_is_worse(on_sunday: OnlineDetector) -> None:
    """The direction is the user's to say."""
    rows = changed(0.4, 60)
    found = {}
    for worse in ("up", "down", "both"):
        detector = copy.deepcopy(on_sunday)
        detector.worse = worse
        told = feed(detector, rows)
        found[worse] = ((told["score"] >= 1).any(axis=0).mean(), told["severe"].any(axis=0).mean())

    assert found == {"up": (0.0, 0.0), "down": (1.0, 1.0), "both": (1.0, 1.0)}


def test_a_lone_minute_is_no_change(on_sunday: OnlineDetector) -> None:
    """Twenty times the usual for a minute or two."""
    detector = copy.deepcopy(on_sunday)
    rows = changed(1.0, 120)
    rows[30:32] *= 20
    told = feed(detector, rows)

    assert not (told["score"] >= 1).any()
    assert not told["severe"].any()


def test_a_change_that_stays_becomes_the_usual_level(on_sunday: OnlineDetector) -> None:
    """After confirmation the change is 0, nothing alarms again, and the way back is news."""
    detector = copy.deepcopy(on_sunday)
    rows = week(11)[8 * DAY :].copy()
    rows[300 : 2 * DAY] *= 1.8
    told = feed(detector, rows[: 2 * DAY])
    alarms = told["score"] >= 1
    starts = (alarms[1:] & ~alarms[:-1]).sum(axis=0)

    assert starts.tolist() == [1] * SERIES
    assert np.nanmax(np.abs(told["change"][DAY])) < 0.15
    back = feed(detector, rows[2 * DAY : 2 * DAY + 60])
    assert (back["score"] >= 1).any(axis=0).all()
    assert np.nanmax(back["change"][-1]) < -0.3


def test_state_survives(on_sunday: OnlineDetector) -> None:
    """Saved and loaded it goes on with the same verdicts."""
    other = OnlineDetector.load(on_sunday.save())
    rows = changed(1.3, 90)
    ours, theirs = feed(copy.deepcopy(on_sunday), rows), feed(other, rows)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize("damage", [b"", b"no", b"PK\x03\x04 no archive"])
def test_damaged_state_is_refused(damage: bytes) -> None:
    """The service then relearns from history."""
    with pytest.raises(ValueError, match="not the state of a detector"):
        OnlineDetector.load(damage)


def test_series_can_come_and_go(on_sunday: OnlineDetector) -> None:
    """Series that stay keep what was learnt; one that comes is not ready."""
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


def test_noise_has_the_shape_of_the_day_if_it_has_one() -> None:
    """Three times as noisy by night; a series with the same noise all day has no factors, but for chance."""
    layout = Layout(60, MONDAY)
    spread = Spread(layout, 2)
    random = np.random.default_rng(3)
    for day in range(5):
        for slot in range(DAY):
            spread.add(day, slot, np.abs(random.normal(0, [3.0 if slot < DAY / 2 else 1.0, 1.0])))
        spread.next_day(day + 1, 0)
    night, noon = spread.at(DAY // 4), spread.at(3 * DAY // 4)

    assert night[0] / noon[0] == pytest.approx(3, rel=0.15)
    assert spread.factors[:, 1] == pytest.approx(1, abs=0.1)
    assert spread.over(DAY // 4)[:, 0] == pytest.approx(night[0], rel=0.1), (
        "a window within the night is as noisy as it"
    )
    assert noon[0] < spread.over(DAY // 2 + 60)[-1, 0] < night[0], "one that reaches into it is noisier than the day"


def test_a_series_that_grows_is_usual_on_saturday_as_on_friday() -> None:
    """The last weekend was a week ago: 3 % a day later, its level would be a fifth too low."""
    layout = Layout(60, MONDAY)
    season = Season(layout, 2)
    random = np.random.default_rng(4)
    for day in range(12):
        for slot in range(DAY):
            season.add(day, slot, 0.03 * np.array([day, 0]) + random.normal(0, 0.1, 2))
        season.next_day(day + 1, 0)  # the last is a Saturday

    assert season.at(DAY // 2)[0] == pytest.approx(0.03 * 12, abs=0.03)
    assert season.at(DAY // 2)[1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("draw", "least", "most"),
    [
        pytest.param(lambda random, size: random.normal(size=size), 1.4, 1.9, id="gaussian"),
        pytest.param(lambda random, size: random.standard_t(2.5, size), 2.0, 4.0, id="heavy tails"),
    ],
)
def test_the_heavier_the_tail_the_rarer_peaks_are_far(draw: Callable[..., Floats], least: float, most: float) -> None:
    """What is reached once in 350 days, in parts of the usual peak of a day."""
    scales = Scales(60, (15,), DAY, records_only=False)
    random = np.random.default_rng(5)
    for day in range(6):
        values = np.convolve(draw(random, DAY + 4), np.ones(5) / 5, "valid")
        for slot in range(DAY):
            scales.sample(day, slot, np.full((1, 60), values[slot]))
        usual = np.median(scales.peaks[:, 0, 0, 0][: day + 1])
        scales.next_day(day + 1)

    assert least < scales.peak[0, 0, 0] / usual < most


def test_a_long_window_has_no_heavier_tail_than_a_short_one() -> None:
    """A few dozen means of four hours do not tell a tail: one large one must not hide a change for a week."""
    scales = Scales(2, (5, 15, 240), DAY, records_only=False)
    random = np.random.default_rng(8)
    for day in range(6):
        for slot in range(DAY):
            differences = random.normal(size=(3, 2))
            differences[2] *= 0.25
            if slot == 700:
                differences[2] = 2.5, -2.5
            scales.sample(day, slot, differences)
    usual = np.median(scales.peaks, axis=0)
    scales.next_day(6)

    looks = np.log(3 * DAY / np.array([[5], [15], [240]]))
    tail = np.log(scales.peak / usual) / np.log(1 + np.log(350) / looks)
    assert (tail[:, 2] <= tail[:, 1] + 1e-6).all(), "neither up nor down"
    assert 0.5 <= tail.min() <= tail.max() < 1


def test_the_scale_is_known_better_than_by_a_median() -> None:
    """Of Gaussian values it is the standard deviation, and it scatters less; outliers are held."""
    scales = Scales(300, (240,), DAY, records_only=False)
    random = np.random.default_rng(9)
    samples = random.normal(size=scales.samples[0].shape)
    scales.samples[0][:] = samples
    scales.next_day(6)
    medians = 1.4826 * np.median(np.abs(samples.reshape(-1, 300)), axis=0)

    assert scales.scale[0].mean() == pytest.approx(1, abs=0.03)
    assert scales.scale[0].std() < 0.8 * medians.std()

    samples[:, 0] = 50
    scales.samples[0][:] = samples
    scales.next_day(6)
    assert scales.scale[0].max() < 2


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(60, (360, 360, 360, 720, 1440, 1440), id="minutes"),
        pytest.param(3600, (12, 24, 24), id="hours"),
        pytest.param(86400, (12,), id="days"),
    ],
)
def test_short_windows_have_near_references(step: float, expected: tuple[int, ...]) -> None:
    """Six hours at least, twelve times the window, a day at most."""
    assert Layout(step, MONDAY).references == expected


def test_days_follow_the_clock_of_their_zone() -> None:
    """The hour that an office opens is usual also on the days after the clocks changed, in UTC it is not."""
    spring = datetime(2024, 3, 25, tzinfo=UTC).timestamp()  # a Monday; Berlin changes on Sunday the 31st
    berlin = ZoneInfo("Europe/Berlin")
    random = np.random.default_rng(6)
    local, utc = OnlineDetector(3, 300, spring, zone="Europe/Berlin"), OnlineDetector(3, 300, spring)
    apart: dict[str, list[float]] = {"local": [], "utc": []}
    for slot in range(10 * 288):
        moment = datetime.fromtimestamp(spring + 300 * slot, berlin)
        values = np.exp(random.normal(0, 0.1, 3)) * (3.0 if 8 <= moment.hour < 18 else 1.0)
        local.update_many(values)
        utc.update_many(values)
        if moment.date() == date(2024, 4, 1) and moment.hour in (8, 18):
            apart["local"].append(float(np.abs(np.log(local.usual()[0] / values)).mean()))
            apart["utc"].append(float(np.abs(np.log(utc.usual()[0] / values)).mean()))

    assert np.mean(apart["local"]) < 0.4 < np.mean(apart["utc"])
    again = OnlineDetector.load(local.save())
    assert (again.zone, again.clock.offset) == ("Europe/Berlin", 7200)


@pytest.mark.parametrize("blocks", [4, -4])
def test_what_was_learnt_moves_with_the_clock(blocks: int) -> None:
    """Block by block, across midnight; nothing is known of what would come from the future."""
    days, newest = np.arange(7.0 * 96).reshape(7, 96, 1), 2
    line = np.concatenate([days[3:], days[:3]]).ravel()  # oldest first
    expected = [line[at + blocks] if 0 <= at + blocks < len(line) else np.nan for at in range(len(line))]

    move_blocks(days, newest, blocks)

    np.testing.assert_array_equal(np.concatenate([days[3:], days[:3]]).ravel(), expected)


def test_an_unknown_zone_is_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"no time zone 'Berlin': write a name such as Europe/Berlin"):
        OnlineDetector(1, 60, MONDAY, zone="Berlin")
    assert Zone("Asia/Kolkata").offset(MONDAY) == 19800
