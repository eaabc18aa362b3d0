"""The spool accepts while the database is down, and nothing in it is lost or stored twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.store.conftest import Eventually, StartStore
from tests.store.write.sender import V2, RequestV2, bits, labels_of, now_ms, post, stored, v1, v1_series

from jelmon.demo import launch
from jelmon.demo.processes import Processes
from jelmon.errors import ConfigError
from jelmon_store.spool.files import Spooled, SpoolFiles
from jelmon_store.wire.errors import BusyError
from jelmon_store.wire.negotiation import Protocol


async def test_requests_wait_on_disk_for_the_database(
    tool: Callable[[str], Path],
    server_folder: Path,
    start_store: StartStore,
    eventually_true: Eventually,
    tmp_path: Path,
) -> None:
    """Also over a restart of the store; refused samples and counters are reported as ever."""
    with Processes(server_folder / "spool-logs") as processes:
        port = processes.port(15732)
        url = f"postgresql://jelmon@127.0.0.1:{port}/postgres"
        start = now_ms()
        first = await start_store(url, spool=tmp_path)
        for step in range(10):
            body = v1(*(v1_series(labels_of("m", i=str(i)), [(start + step, bits(step))]) for i in range(5)))

            assert (await post(first.server.url, body))[0] == 204
        request = RequestV2().add(labels_of("v2"), [(start, bits(1))], exemplars=[([], start, bits(1))])
        status, _, headers = await post(first.server.url, request.add([("a", "b")], [(start, 0)]).body(), kind=V2)

        assert (status, headers["X-Prometheus-Remote-Write-Samples-Written"]) == (400, "1")
        assert headers["X-Prometheus-Remote-Write-Exemplars-Written"] == "1"
        assert (await post(first.server.url, b"\xff"))[0] == 400
        await first.stop()
        second = await start_store(url, spool=tmp_path)
        body = v1(v1_series(labels_of("m", i="0"), [(start + 20, bits(20))]))

        assert (await post(second.server.url, body))[0] == 204
        dsn = await asyncio.to_thread(
            launch.postgres, processes, tool("postgres"), tool("initdb"), server_folder / "spool-db", port=port
        )

        async def written() -> bool:
            return not list(tmp_path.glob("*.spool"))

        await eventually_true(written)
        rows = stored(dsn)

        assert len(rows) == 10 * 5 + 1 + 1
        assert [value for labels, _, value in rows if labels.get("i") == "0"] == [
            *(bits(step) for step in range(10)),
            bits(20),
        ]
        await second.stop()


def test_a_record_that_is_cut_off_ends_its_file(tmp_path: Path) -> None:
    """It was never acknowledged."""
    files = SpoolFiles(tmp_path, limit=10_000)
    requests = [Spooled(Protocol.V2, f"tenant {i}", bytes([i]) * 20) for i in range(3)]
    for request in requests:
        files.append(request)
    files.close_output()
    (path,) = files.files()
    for cut in (1, 20, 30):
        path.write_bytes(path.read_bytes()[:-cut])

        assert list(files.read(path)) == requests[: 2 if cut < 30 else 1]
    files.append(requests[2])

    assert [list(files.read(path)) for path in files.files()][1:] == [[requests[2]]]
    files.close()


def test_a_full_spool_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    files = SpoolFiles(tmp_path, limit=100)
    files.append(Spooled(Protocol.V1, "", bytes(60)))
    with pytest.raises(BusyError, match="full"):
        files.append(Spooled(Protocol.V1, "", bytes(60)))
    (file,) = files.files()
    files.remove(file)

    assert files.size == 0
    files.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--spool\.path"):
        SpoolFiles(tmp_path / "file", limit=100)
