"""Headless Chromium over its DevTools protocol: opens pages, and records what they ask for and complain about."""

import asyncio
import base64
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

_START_SECONDS = 60.0
_PAGE_SECONDS = 60.0
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb"),
    *("--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--remote-debugging-port=0", "--mute-audio", "--disable-sync"),
)


class Tab:
    """One page. ``requests`` and ``complaints`` are what it asked for and what went wrong, since the last `open`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def listen(self) -> None:
        """Handle what the browser sends, until it closes."""
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._answers.pop(event["id"]).set_result(event)
                continue
            details = event.get("params", {})
            match event.get("method"):
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Network.requestWillBeSent":
                    self.requests.append(details["request"]["url"])
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(details["exceptionDetails"].get("exception", details))[:500])
                case "Runtime.consoleAPICalled" if details["type"] in ("error", "warning"):
                    self.complaints.append(str(details["args"])[:500])
                case "Log.entryAdded" if details["entry"]["level"] in ("error", "warning"):
                    self.complaints.append(details["entry"]["text"][:500])

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        event = await asyncio.wait_for(answer, _PAGE_SECONDS)
        assert "error" not in event, f"{method}: {event['error']}"
        result: dict[str, Any] = event["result"]
        return result

    async def open(self, url: str, *, width: int = 1280, scheme: str = "light", scripts: bool = True) -> None:
        """Open a page and wait until it has loaded."""
        self.requests.clear()
        self.complaints.clear()
        await self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.send("Emulation.setEmulatedMedia", features=features)
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), _PAGE_SECONDS)

    async def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        result = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, expression: str, *, seconds: float = 60.0) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(seconds):
            while not await self.value(expression):
                await asyncio.sleep(0.1)

    async def picture(self, path: Path, *, most: int = 3000) -> None:
        """Take a screenshot of the whole page."""
        size = (await self.send("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most), "scale": 1}
        shot = await self.send("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def chromium(program: Path, environ: dict[str, str]) -> AsyncIterator[Tab]:
    """Run Chromium with an empty profile, and yield its tab."""
    with tempfile.TemporaryDirectory(prefix="jelmon-chromium-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *_OPTIONS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=environ,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                    targets = await response.json(content_type=None)
                address = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    tab = Tab(socket)
                    listener = asyncio.create_task(tab.listen())
                    for domain in ("Page", "Network", "Runtime", "Log"):
                        await tab.send(f"{domain}.enable")
                    yield tab
            await listener
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(_START_SECONDS):
        while not (file.exists() and "\n" in file.read_text()):
            assert process.returncode is None, f"Chromium ended with {process.returncode}"
            await asyncio.sleep(0.1)
    return int(file.read_text().splitlines()[0])
