"""Servers of the analyzers' own: the stream of events has one name, so who fills it needs a NATS for itself."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jelmon.demo import launch
from jelmon.demo.processes import Processes, free_port


@pytest.fixture
def own_nats(tool: Callable[[str], Path], tmp_path: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """A nats-server for one test, and a function that kills it and starts it again with what it stored."""
    port = free_port()  # a fixed one would be that of another test beside this one
    with contextlib.ExitStack() as stack:

        def start() -> str:
            stack.close()  # stops the server that runs, if one does
            processes = stack.enter_context(Processes(tmp_path / "logs"))
            return launch.nats(processes, tool("nats-server"), tmp_path / "nats", port=port)

        yield start(), start
