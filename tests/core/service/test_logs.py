"""Log lines go to stderr, one each, with their facts, as text or as JSON."""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from jelmon.service import logs


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Put the handlers of the process back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def fault() -> Any:
    try:
        raise ValueError("broken")
    except ValueError:
        return sys.exc_info()


def test_text_has_time_level_place_message_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("jelmon.test").info("stream %s created", "A", extra={"events": 3, "why": 'a "reason"\nof two'})
    out, err = capsys.readouterr()

    assert out == ""
    moment, rest = err.split(" ", 1)
    assert moment.endswith("Z")
    assert rest == 'INFO jelmon.test: stream A created events=3 why="a \\"reason\\"\\nof two"\n'


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(form="json", level="debug")
    logger = logging.getLogger("jelmon.test")
    logger.debug("one", extra={"place": object})
    logger.error("two", exc_info=fault())
    first, second = map(json.loads, capsys.readouterr().err.splitlines())

    assert first["message"] == "one"
    assert first["level"] == "debug"
    assert first["logger"] == "jelmon.test"
    assert first["place"] == "<class 'object'>"
    assert second["exception"].endswith("ValueError: broken")


def test_text_shows_the_traceback_of_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("jelmon.test").error("failed", exc_info=fault())

    assert capsys.readouterr().err.endswith("ValueError: broken\n")


def test_the_level_holds_and_a_second_call_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="debug")
    logs.configure(level="warning")
    logging.getLogger("jelmon.test").info("quiet")
    logging.getLogger("jelmon.test").warning("loud")

    assert capsys.readouterr().err.count("\n") == 1
