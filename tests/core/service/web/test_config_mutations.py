"""Whatever stands in a web-config file: a configuration that works, or every mistake with its line."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import bcrypt
import hypothesis.strategies as st
from hypothesis import given, settings

from jelmon.errors import DefinitionError
from jelmon.service.web import WebConfig
from jelmon.service.web.authentication import Authenticator

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
VALID = f"""\
http_server_config:
  http2: true
  headers: {{X-Frame-Options: deny}}
basic_auth_users:
  alice: {HASH}
rate_limit: {{interval: 100ms, burst: 50}}
"""
CHANGES = st.lists(
    st.tuples(
        st.integers(0, len(VALID)),
        st.integers(0, 4),
        st.sampled_from(
            ["", "$2$", "$2x$04$", ": ", "\n", "  ", "{", "[", "- ", "\t", "é", "\0", "&a ", "*a", "!!binary ", "~"]
        ),
    ),
    max_size=3,
)


def _read(path: Path) -> tuple[WebConfig | None, str]:
    try:
        return WebConfig.load(path), ""
    except DefinitionError as error:
        return None, str(error)


@settings(max_examples=150)
@given(CHANGES)
def test_a_changed_file_is_read_or_refused(changes: list[tuple[int, int, str]]) -> None:
    text = VALID
    for at, length, new in changes:
        text = text[:at] + new + text[at + length :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "web.yml"
        path.write_text(text, encoding="utf-8")
        config, refusal = _read(path)
    assert HASH not in refusal
    if (
        config is not None and config.users and all(stored[4:6] == b"04" for stored in config.users.values())
    ):  # others take long to compare
        assert asyncio.run(Authenticator(config.users).user_of("Basic YWxpY2U6d3Jvbmc=")) is None
