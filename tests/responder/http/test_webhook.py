"""Alertmanager's payloads are parsed; invalid ones are refused with a reason."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon_responder.alerts import Alert, Delivery, Status, to_utc
from jelmon_responder.http.webhook import MAX_ALERTS, MAX_PAYLOAD_BYTES, WebhookError, parse

NOW = datetime(2026, 2, 1, tzinfo=UTC)
ALERT: dict[str, object] = {
    "status": "firing",
    "labels": {"alertname": "A"},
    "annotations": {},
    "startsAt": "2026-01-31T12:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "",
    "fingerprint": "f1",
}


def body(*alerts: dict[str, object], **more: object) -> bytes:
    return json.dumps({"version": "4", "receiver": "r", "alerts": list(alerts), **more}).encode()


def test_a_webhook_is_parsed() -> None:
    """Receiver, alerts and the number of truncated alerts are parsed; other fields are ignored."""
    expected = Delivery(
        receiver="r",
        alerts=(
            Alert(
                fingerprint="f1",
                starts_at=datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC),
                labels={"alertname": "A"},
            ),
        ),
        truncated=3,
    )

    assert expected == parse(body(ALERT, truncatedAlerts=3, groupKey="x", somethingNew=[1]), now=NOW)


@pytest.mark.parametrize(
    ("status", "ends", "expected"),
    [
        pytest.param("firing", "0001-01-01T00:00:00Z", None, id="a firing alert has no end"),
        pytest.param("firing", "2026-01-31T13:00:00Z", None, id="a planned end is no end"),
        pytest.param("resolved", "2026-01-31T13:00:00Z", datetime(2026, 1, 31, 13, tzinfo=UTC), id="the end is kept"),
        pytest.param("resolved", "0001-01-01T00:00:00Z", NOW, id="an unset end is now"),
        pytest.param("resolved", "2099-01-01T00:00:00Z", NOW, id="an end that no clock has reached is now"),
        pytest.param("resolved", "0001-01-01T00:00:00+14:00", NOW, id="an unset end in any zone is now"),
        pytest.param(
            "resolved", "2026-01-31T13:00:00+02:00", datetime(2026, 1, 31, 11, tzinfo=UTC), id="zones are turned to UTC"
        ),
    ],
)
def test_the_end_of_an_alert(status: str, ends: str, expected: datetime | None) -> None:
    """``ends_at`` is set exactly when the alert is resolved."""
    (alert,) = parse(body(ALERT | {"status": status, "endsAt": ends}), now=NOW).alerts

    assert (Status(status), expected) == (alert.status, alert.ends_at)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"alert!", "not JSON", id="no JSON"),
        pytest.param(b"\xff\xfe", "not JSON", id="no UTF-8"),
        pytest.param(b'{"version":"4","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON", id="nested too deep"),
        pytest.param(body(ALERT)[:-1], "not JSON", id="cut off"),
        pytest.param(b"[]", "Expected `object`", id="an array"),
        pytest.param(body(ALERT, version="3"), "$.version", id="another version"),
        pytest.param(b'{"alerts":[]}', "version", id="no version"),
        pytest.param(b'{"version":"4"}', "alerts", id="no alerts"),
        pytest.param(body(ALERT | {"status": "sad"}), "$.alerts[0].status", id="an unknown status"),
        pytest.param(body(ALERT | {"labels": {"a": 1}}), "$.alerts[0].labels", id="a label that is a number"),
        pytest.param(body(ALERT | {"startsAt": "soon"}), "$.alerts[0].startsAt", id="a start that is no time"),
        pytest.param(body(ALERT | {"startsAt": "12026-01-01T00:00:00Z"}), "startsAt", id="a start beyond the calendar"),
        pytest.param(body(ALERT | {"fingerprint": ""}), "fingerprint", id="an empty fingerprint"),
        pytest.param(body(ALERT | {"fingerprint": "f" * 65}), "fingerprint", id="an endless fingerprint"),
        pytest.param(
            body(ALERT | {"labels": {str(number): "" for number in range(300)}}), "labels", id="hundreds of labels"
        ),
        pytest.param(body(*[ALERT] * (MAX_ALERTS + 1)), "alerts", id="too many alerts"),
        pytest.param(b" " * (MAX_PAYLOAD_BYTES + 1), "exceeds", id="too many bytes"),
    ],
)
def test_invalid_webhooks_are_rejected(payload: bytes, message: str) -> None:
    """The message says what is wrong, and the hint what to do."""
    with pytest.raises(WebhookError) as caught:
        parse(payload, now=NOW)

    assert message in caught.value.message
    assert caught.value.hint


def test_nul_characters_are_replaced() -> None:
    """PostgreSQL cannot store NUL, neither in text nor in JSON."""
    alert = ALERT | {"labels": {"a\x00b": "c\x00d"}, "annotations": {"\x00": "\x00"}, "fingerprint": "f\x00"}

    (read,) = parse(body(alert, receiver="\x00"), now=NOW).alerts

    assert (
        read.labels,
        read.annotations,
        read.fingerprint,
    ) == ({"a\ufffdb": "c\ufffdd"}, {"\ufffd": "\ufffd"}, "f\ufffd")


@pytest.mark.parametrize("hours", [-14, 0, 14])
@pytest.mark.parametrize("edge", [datetime.min, datetime.max], ids=["the first moment", "the last moment"])
def test_times_at_the_edge_of_the_calendar(edge: datetime, hours: int) -> None:
    """No zone shifts a time out of the calendar."""
    assert to_utc(edge.replace(tzinfo=timezone(timedelta(hours=hours)))).tzinfo is UTC


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_input_breaks_the_parser(payload: bytes) -> None:
    """Any input is parsed or refused."""
    try:
        read = parse(payload, now=NOW)
    except WebhookError:
        return
    assert len(read.alerts) <= MAX_ALERTS
