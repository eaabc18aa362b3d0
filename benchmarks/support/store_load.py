"""Sends remote-write requests over several connections and measures the server."""

import asyncio
import contextlib
import time
from typing import NamedTuple

import psutil

from support.store_bodies import SERIES, Bodies

V1_TYPE = "application/x-protobuf"
V2_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
PACED_RATE = 100_000  # samples a second


class Result(NamedTuple):
    """Million samples a second, and CPU seconds per million samples of the server and of the database."""

    rate: float
    cpu: float
    database_cpu: float


async def send(url: str, bodies: list[list[bytes]], *, kind: str = V1_TYPE, pace: float | None = None) -> list[float]:
    """Send each list over a connection of its own; return the seconds of each response."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    path = "/" + url.removeprefix("http://").split("/", 1)[1]
    times: list[float] = []

    async def one(queue: list[bytes], offset: float) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        due = time.perf_counter() + offset
        for body in queue:
            if pace is not None:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                due += pace
            begun = time.perf_counter()
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Encoding: snappy\r\n"
                f"X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            response = await reader.readuntil(b"\r\n\r\n")
            status = int(response.split(b" ", 2)[1])
            length = [line for line in response.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            text = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
            assert status in (200, 204), (status, text)
            times.append(time.perf_counter() - begun)
        writer.close()

    step = (pace or 0) / len(bodies)
    await asyncio.gather(*(one(queue, step * number) for number, queue in enumerate(bodies)))
    return times


async def measure(
    url: str, bodies: list[list[bytes]], server: psutil.Process, database: psutil.Process | None, kind: str = V1_TYPE
) -> Result:
    """Send everything as fast as the server answers."""
    before = [_cpu_of(server), _cpu_of(database)]
    begun = time.perf_counter()
    await send(url, bodies, kind=kind)
    seconds = time.perf_counter() - begun
    millions = sum(map(len, bodies)) * SERIES / 1e6
    after = [_cpu_of(server), _cpu_of(database)]
    return Result(millions / seconds, (after[0] - before[0]) / millions, (after[1] - before[1]) / millions)


async def paced(url: str, makers: list[Bodies], start: int, seconds: int) -> tuple[float, float]:
    """Send 100,000 samples a second; return the median and the 99th percentile of the responses, in milliseconds."""
    pace = len(makers) * SERIES / PACED_RATE
    count = max(2, round(seconds / pace))
    bodies = [[maker.v1(start + step * 10) for step in range(count)] for maker in makers]
    times = sorted(await send(url, bodies, pace=pace))
    return 1000 * times[len(times) // 2], 1000 * times[int(len(times) * 0.99)]


def _cpu_of(process: psutil.Process | None) -> float:
    """CPU seconds of a process and its children."""
    total = 0.0
    for one in (process, *process.children(recursive=True)) if process is not None else ():
        with contextlib.suppress(psutil.NoSuchProcess):
            used = one.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system  # also of those that ended
    return total
