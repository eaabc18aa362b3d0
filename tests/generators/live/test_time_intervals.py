"""Windows over a route are open exactly when a real Alertmanager mutes, minute by minute over changes of the clock.

Alertmanager cannot be given another clock, but it reads its time zones from files. Each minute gets its own copy of the
zone, shifted so that the change lies as far from now as it lies from that minute.
"""

import json
import struct
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jelmon.bundle.recurrence import WEEKDAYS
from jelmon.config.strict_yaml import read
from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.errors import Problem
from jelmon_generators.load.windows import read_windows
from jelmon_generators.model.definitions import Window
from jelmon_generators.model.windows import mutes, time_interval

ZONES = ("Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Pacific/Auckland")
"""Changes at 2:00 and 1:00 UTC, at midnight, by half an hour, and on the southern half of the globe."""
AROUND = 65  # minutes
LATEST_SECONDS = 50  # a minute is over after 60


def window(zone: str, starts: datetime, duration: str, rrule: str) -> Window:
    """A window as it is read from rules/windows.yaml."""
    entry = {
        "description": "d",
        "owner": "o",
        "route": "warning",
        "starts": f"{starts:%Y-%m-%d %H:%M}",
        "duration": duration,
        "time_zone": zone,
        "rrule": rrule,
    }
    problems: list[Problem] = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "windows.yaml").write_text(json.dumps({"windows": {"w": entry}}))
        fields = read(Path(folder), "windows.yaml", problems)
    assert fields is not None
    windows = read_windows(fields)
    assert not problems, problems
    return windows["w"]


def changes(name: str) -> Iterator[tuple[datetime, timedelta, timedelta]]:
    """Yield the moments at which the clock of a zone changes in 2026, with the offsets before and after."""
    zone, moment = ZoneInfo(name), datetime(2026, 1, 1, tzinfo=UTC)
    while moment.year == 2026:
        after = moment + timedelta(minutes=30)
        before, then = moment.astimezone(zone).utcoffset(), after.astimezone(zone).utcoffset()
        assert before is not None
        assert then is not None
        if before != then:
            yield after, before, then
        moment = after


def zone_file(change: float, before: float, after: float) -> bytes:
    """A file in the format of the time zone database (RFC 8536): one change, two offsets from UTC in seconds."""
    head = b"TZif" + bytes(16) + struct.pack(">6i", 0, 0, 0, 1, 2, 4)
    kinds = struct.pack(">iBB", int(before), 0, 0) + struct.pack(">iBB", int(after), 1, 0)
    return head + struct.pack(">i", int(change)) + b"\x01" + kinds + b"LMT\0"


class Receiver:
    """Records which alerts were notified."""

    def __init__(self) -> None:
        self.notified: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.notified.update(alert["labels"]["case"] for alert in body["alerts"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The receiver, served."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


def cases() -> dict[str, tuple[Window, datetime, tuple[datetime, timedelta, timedelta]]]:
    """Each minute around each change, in windows that begin before, within and after the hour that changes."""
    found = {}
    for name in ZONES:
        for number, change in enumerate(changes(name)):
            moment, before, after = change
            wall = (moment + before).replace(tzinfo=None)  # what the clock would show without the change
            weekly = f"FREQ=WEEKLY;BYDAY={WEEKDAYS[(wall - timedelta(minutes=1)).weekday()]}"
            spans = [
                window(name, wall - timedelta(minutes=40), "1h", weekly),
                window(name, min(wall, wall + after - before) + timedelta(minutes=10), "35m", "FREQ=DAILY"),
            ]
            for place, span in enumerate(spans):
                for minute in range(-AROUND, AROUND + 1):
                    case = f"z{ZONES.index(name)}-{number}-{place}-{minute}".replace("--", "-m")
                    found[case] = (span, moment + timedelta(minutes=minute), change)
    return found


def test_alertmanager_mutes_when_we_say(receiver: Receiver, tool: Callable[[str], Path], tmp_path: Path) -> None:
    """In five zones, both changes, every minute: who is notified is exactly who we say is not muted."""
    every = cases()
    assert len(every) == len(ZONES) * 2 * 2 * (2 * AROUND + 1)
    expected = {case for case, (span, moment, _) in every.items() if not mutes(span, moment)}
    assert 0.2 < len(expected) / len(every) < 0.8
    zones = tmp_path / "zones"
    zones.mkdir()
    routes: list[dict[str, Any]] = []
    intervals: list[dict[str, Any]] = []
    now = time.time()
    for case, (span, moment, (change, before, after)) in every.items():
        shift = now - moment.timestamp()
        seconds = [offset.total_seconds() - shift for offset in (before, after)]
        (zones / case).write_bytes(zone_file(change.timestamp() + shift, *seconds))
        interval = {**time_interval(span), "name": case}
        for part in interval["time_intervals"]:
            part["location"] = case
        intervals.append(interval)
        routes.append({"receiver": "r", "matchers": [f'case="{case}"'], "mute_time_intervals": [case]})
    url = f"http://127.0.0.1:{receiver.server.server_port}"
    config = {
        "route": {"receiver": "r", "group_by": ["case"], "group_wait": "0s", "routes": routes},
        "receivers": [{"name": "r", "webhook_configs": [{"url": url}]}],
        "time_intervals": intervals,
    }
    path = tmp_path / "alertmanager.yml"
    path.write_text(json.dumps(config))
    alerts = [{"labels": {"alertname": "A", "case": case}} for case in every]

    with pytest.MonkeyPatch.context() as patch, Processes(tmp_path / "logs") as processes:
        patch.setenv("ZONEINFO", str(zones))
        alertmanager = launch.alertmanager(
            processes, tool("alertmanager"), tmp_path / "data", path, options=["--log.level=debug"]
        )
        request = urllib.request.Request(
            f"{alertmanager}/api/v2/alerts",
            data=json.dumps(alerts).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=LATEST_SECONDS):
            pass
        log = tmp_path / "logs/alertmanager.log"

        def muted() -> int:
            return log.read_text().count("Notifications not sent, route is within mute time")

        while len(receiver.notified) + muted() < len(every) and time.time() < now + LATEST_SECONDS:
            time.sleep(0.1)

    assert receiver.notified == expected
    assert len(receiver.notified) + muted() == len(every)


def test_a_month_without_days_is_muted_on_the_day_of_its_start() -> None:
    """RFC 5545; not every day of the month."""
    monthly = window("Europe/Berlin", datetime(2026, 1, 15, 22, 0), "1h", "FREQ=MONTHLY")

    assert time_interval(monthly)["time_intervals"][0]["days_of_month"] == ["15"]
    assert mutes(monthly, datetime(2026, 3, 15, 21, 30, tzinfo=UTC))
    assert not mutes(monthly, datetime(2026, 3, 16, 21, 30, tzinfo=UTC))


def test_days_of_the_month_and_weekdays_are_both_required() -> None:
    """As in RFC 5545: Friday the 13th; and the last day of a month."""
    friday = window("UTC", datetime(2026, 1, 1, 22, 0), "1h", "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13")
    last = window("UTC", datetime(2026, 1, 1, 22, 0), "1h", "FREQ=MONTHLY;BYMONTHDAY=-1")

    days = [datetime(2026, 1, 1, 22, 30, tzinfo=UTC) + timedelta(days=day) for day in range(365)]
    assert [f"{day:%m-%d}" for day in days if mutes(friday, day)] == ["02-13", "03-13", "11-13"]
    assert len([day for day in days if mutes(last, day)]) == 12
