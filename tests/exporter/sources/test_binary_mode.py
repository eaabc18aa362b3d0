"""Binary mode of CloudEvents: whatever stands in headers and body, an event or a refusal, and never another event."""

import json
from urllib.parse import quote

import hypothesis.strategies as st
from hypothesis import given

from jelmon.errors import EventError
from jelmon_exporter.sources.binary_mode import event_of, is_used

NAMES = st.one_of(
    st.sampled_from(["ce-id", "CE-ID", "ce-type", "ce-source", "ce-data", "ce-", "ce-a_b", "Content-Type"]),
    st.text(max_size=10).map("ce-".__add__),
)
VALUES = st.one_of(st.text(max_size=40), st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
BODIES = st.one_of(
    st.binary(max_size=60), st.sampled_from([b'{"pipeline":"p"},"id":"zz"', b"{}", b"", b" \n", b"null"])
)


@given(st.dictionaries(NAMES, VALUES, max_size=6), BODIES)
def test_headers_and_body_make_one_event_or_none(headers: dict[str, str], body: bytes) -> None:
    is_used(headers)
    try:
        event = json.loads(event_of(headers, body))
    except EventError:
        return
    names = {name.lower()[3:] for name in headers if name.lower().startswith("ce-")}
    assert set(event) == {*names, "data"}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.booleans())
def test_every_text_can_be_sent(text: str, quoted: bool) -> None:
    written = quote(text, safe="!#$&'()*+,-./:;<=>?@[]^_`{|}~")
    headers = {"ce-id": f'"{written}"' if quoted else written}

    assert json.loads(event_of(headers, b"{}")) == {"id": text, "data": {}}
