"""The event vocabulary: what is read, what is refused, and that schema and decoder agree."""

import json
from datetime import UTC, datetime
from typing import Any, get_type_hints

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jelmon import events
from jelmon.errors import EventError, Rejection
from jelmon.events.parsing import _name_fields

FINISHED = events.make(
    events.StageFinished,
    events.StageFinishedData(
        pipeline="checkout", stage="test_execution", outcome=events.Outcome.SUCCESS, worker="w1", next_stage="deploy"
    ),
    source="/ci",
    subject="card-1",
    time=datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC),
    id="e1",
)


def wire(**changes: Any) -> bytes:
    """FINISHED on the wire with attributes changed, or removed when None."""
    content = json.loads(events.encode(FINISHED)) | changes
    return json.dumps({key: value for key, value in content.items() if value is not None}).encode()


def test_what_is_encoded_is_a_cloudevent() -> None:
    assert json.loads(events.encode(FINISHED)) == {
        "specversion": "1.0",
        "type": "jelmore.stage.finished",
        "id": "e1",
        "source": "/ci",
        "subject": "card-1",
        "time": "2026-01-31T12:00:00.123000Z",
        "data": {
            "pipeline": "checkout",
            "stage": "test_execution",
            "outcome": "success",
            "worker": "w1",
            "next_stage": "deploy",
        },
    }


def test_encoded_events_are_read_back_equal() -> None:
    assert events.parse(events.encode(FINISHED)) == FINISHED


def test_unknown_attributes_and_fields_are_ignored() -> None:
    """A newer producer may talk to an older consumer."""
    data = json.loads(wire())["data"] | {"colour": "blue"}

    assert events.parse(wire(colour="blue", data=data)) == FINISHED


def test_every_type_is_jelmore_noun_verb() -> None:
    assert [kind for kind in events.EVENT_TYPES if not kind.startswith("jelmore.") or kind.count(".") != 2] == []


@pytest.mark.parametrize(
    ("payload", "reason", "message"),
    [
        (b"", Rejection.MALFORMED, "not JSON"),
        (b"\xff\xfe", Rejection.MALFORMED, "not JSON"),
        (b'{"type": "\xff"}', Rejection.MALFORMED, "not JSON"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, Rejection.OVERSIZED, "exceeds 65536"),
        (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, Rejection.MALFORMED, "recursion"),
        (b'{"type": "jelmore.card.exploded", "a": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", Rejection.INVALID, "not a"),
        (b"[]", Rejection.INVALID, "not a CloudEvent"),
        (b"{}", Rejection.UNKNOWN_TYPE, "unknown event type ''"),
        (wire(type="jelmore.stage.finishd"), Rejection.UNKNOWN_TYPE, "did you mean 'jelmore.stage.finished'"),
        (wire(specversion="0.3"), Rejection.INVALID, "$.specversion"),
        (wire(specversion=None), Rejection.INVALID, "specversion"),
        (wire(subject=None), Rejection.INVALID, "subject"),
        (wire(time="yesterday"), Rejection.INVALID, "$.time"),
        (wire(time="2026-01-31T12:00:00"), Rejection.INVALID, "$.time"),
        (wire(id=""), Rejection.INVALID, "$.id"),
        (wire(id="x" * 257), Rejection.INVALID, "$.id"),
        (wire(data={"pipeline": "p", "stage": "s", "outcome": "sucess"}), Rejection.INVALID, "$.data.outcome"),
        (wire(data={"pipeline": "p", "stage": "s", "outcome": "success", "attempt": 0}), Rejection.INVALID, "attempt"),
    ],
    ids=[
        "empty",
        "not UTF-8",
        "not UTF-8 inside a string",
        "too large",
        "too deep",
        "too deep beyond the fault",
        "array",
        "no type",
        "misspelt type",
        "wrong version",
        "no version",
        "no subject",
        "time is no time",
        "time without a zone",
        "empty id",
        "long id",
        "misspelt outcome",
        "attempt 0",
    ],
)
def test_what_cannot_be_read_is_refused_with_reason_and_hint(payload: bytes, reason: Rejection, message: str) -> None:
    with pytest.raises(EventError) as caught:
        events.parse(payload)

    assert caught.value.reason is reason
    assert message in str(caught.value)
    assert caught.value.hint


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_and_never_crash(payload: bytes) -> None:
    with pytest.raises(EventError):
        events.parse(payload)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_arbitrary_data_is_refused_and_never_crashes(data: Any) -> None:
    payload = json.loads(events.encode(FINISHED)) | {"data": data}
    with pytest.raises(EventError):
        events.parse(json.dumps(payload).encode())


@pytest.mark.parametrize("character", ["\0", "\n", "\t", "\x1f", "\x7f", "\x85", "\x9f", "\u2028", "\u2029"])
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "as it is"])
def test_a_control_character_in_a_name_is_refused_with_its_place(character: str, escaped: bool) -> None:
    """Names become labels; whichever way the producer's JSON writes them, alone and in a batch."""
    stages = [{"stage": "a"}, {"stage": f"b{character}"}]
    event = {**json.loads(wire()), "type": "jelmore.pipeline.declared", "data": {"pipeline": "p", "stages": stages}}
    payload = json.dumps(event, ensure_ascii=escaped).encode()

    with pytest.raises(EventError) as caught:
        events.parse(payload)

    assert caught.value.reason is Rejection.INVALID
    assert caught.value.message == (
        f"jelmore.pipeline.declared: Control character {character!r} - at `$.data.stages[1].stage`"
    )
    with pytest.raises(EventError):
        events.parse_batch(b"[%b,%b]" % (wire(), payload))


def test_good_messages_are_read_in_one_go() -> None:
    payloads = [wire(id=f"e{number}") for number in range(5)]

    assert events.parse_all(payloads) == [events.parse(payload) for payload in payloads]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[" + wire() + b"]", id="a batch"),
        pytest.param(wire(time="yesterday"), id="a wrong field"),
        pytest.param(wire()[:-1], id="cut off"),
        pytest.param(wire() + b"," + wire(), id="two without brackets"),
        pytest.param(wire(source="x" * events.MAX_EVENT_BYTES), id="too large"),
        pytest.param(wire(data={"pipeline": "a\nb", "stage": "s", "outcome": "success"}), id="a control character"),
    ],
)
def test_one_bad_message_has_all_looked_at_one_by_one(payload: bytes) -> None:
    with pytest.raises(EventError):
        events.parse_all([wire(), payload, wire()])


@pytest.mark.parametrize("kind", events.EVENT_TYPES.values(), ids=lambda kind: kind.__name__)
def test_every_name_of_every_type_is_looked_at(kind: type[events.Event]) -> None:
    """Texts of 1 to 128 characters are names."""
    data = get_type_hints(kind)["data"]
    texts = {
        name
        for definition in msgspec.json.schema(data)["$defs"].values()
        for name, spec in definition.get("properties", {}).items()
        if any(choice.get("maxLength") == 128 and choice.get("minLength") for choice in [spec, *spec.get("anyOf", ())])
    }
    found: set[str] = set()
    for field, inner in _name_fields(data).items():
        found |= {field} if inner is None else set(inner)

    assert found == texts


def test_a_single_event_is_a_batch_of_one() -> None:
    payload = events.encode(FINISHED)

    assert events.split(payload) == [payload]


def test_a_batch_is_split_into_its_events() -> None:
    parts = events.split(events.encode_batch([FINISHED, FINISHED]))

    assert [events.parse(part) for part in parts] == [FINISHED, FINISHED]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[", Rejection.MALFORMED),
        (b"[]", Rejection.INVALID),
        (b"[" + b"1," * 100 + b"1]", Rejection.OVERSIZED),
        (b" [" + b" " * events.MAX_BATCH_EVENTS * events.MAX_EVENT_BYTES + b"]", Rejection.OVERSIZED),
    ],
    ids=["broken", "empty", "too many", "too large"],
)
def test_bad_batches_are_refused(payload: bytes, reason: Rejection) -> None:
    with pytest.raises(EventError) as caught:
        events.split(payload)

    assert caught.value.reason is reason


SCHEMA = jsonschema.Draft202012Validator(events.json_schema())


@pytest.mark.parametrize(
    ("payload", "valid"),
    [
        (wire(), True),
        (wire(subject=None), False),
        (wire(specversion="0.3"), False),
        (wire(type="jelmore.card.nonsense"), False),
        (wire(data={"pipeline": "p" * 129, "stage": "s", "outcome": "success"}), False),
        (wire(data={"pipeline": "p", "stage": "s\n", "outcome": "success"}), False),
        (wire(data={"pipeline": "pâ", "stage": 's € \\ "', "outcome": "success", "reason": "a\nb"}), True),
    ],
    ids=["good", "no subject", "wrong version", "unknown type", "long name", "control character", "other characters"],
)
def test_schema_and_decoder_agree(payload: bytes, valid: bool) -> None:
    try:
        events.parse(payload)
        accepted = True
    except EventError:
        accepted = False

    assert (accepted, SCHEMA.is_valid(json.loads(payload))) == (valid, valid)


def test_made_events_are_checked_on_demand() -> None:
    """`make` trusts its caller; `validated` does not."""
    event = events.make(events.CardStarted, events.CardData(pipeline=""), source="/ci", subject="c")

    with pytest.raises(EventError, match=r"\$\.data\.pipeline"):
        events.validated(event)


def test_two_events_made_without_id_differ() -> None:
    one, two = (
        events.make(events.CardStarted, events.CardData(pipeline="p"), source="/ci", subject="c") for _ in range(2)
    )

    assert one.id != two.id


def test_events_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        FINISHED.id = "other"  # type: ignore[misc]


def test_optional_members_that_are_absent_stay_off_the_wire() -> None:
    event = events.make(events.StageQueued, events.StageData(pipeline="p", stage="s"), source="/ci", subject="c")

    assert msgspec.json.decode(events.encode(event))["data"] == {"pipeline": "p", "stage": "s"}
