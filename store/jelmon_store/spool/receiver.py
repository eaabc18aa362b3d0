"""Accepts requests while the database is down, and writes them in order when it is back."""

import asyncio
import logging

from jelmon.errors import SourceError
from jelmon.service.backoff import Backoff
from jelmon.service.tasks import finished
from jelmon_store.spool.files import Spooled, SpoolFiles
from jelmon_store.wire.errors import BusyError, RequestError
from jelmon_store.wire.negotiation import Protocol
from jelmon_store.write.receiver import Receipt, Receiver

logger = logging.getLogger(__name__)

_TOGETHER = 16  # requests of the spool that are written at a time, in one or two transactions


class SpoolingReceiver:
    """A receiver whose requests wait on disk when the database does not respond.

    As long as anything waits there, what comes goes there too, so that the order stays. A file is deleted when all of
    it is written; after a crash in between it is written again, and each sample is stored once all the same.
    """

    def __init__(self, receiver: Receiver, files: SpoolFiles) -> None:
        self._receiver = receiver
        self._files = files
        self._lock = asyncio.Lock()
        self._filled = asyncio.Event()
        self._waits = files.size > 0
        if self._waits:
            self._filled.set()

    @property
    def size(self) -> int:
        """The bytes that wait on disk."""
        return self._files.size

    async def receive(self, body: bytes, protocol: Protocol, *, tenant: str, retried: bool) -> Receipt:
        """Store a request, or put it on disk; return when it is there for certain.

        Raises:
            RequestError: it is malformed.
            BusyError: the queue or the spool is full.
        """
        if not self._waits:
            try:
                return await self._receiver.receive(body, protocol, tenant=tenant, retried=retried)
            except SourceError as error:
                logger.warning(
                    "the database does not respond; requests go to the spool", extra={"error": error.message}
                )
        receipt = self._receiver.inspect(body, protocol, tenant=tenant)
        async with self._lock:
            append = asyncio.create_task(asyncio.to_thread(self._files.append, Spooled(protocol, tenant, body)))
            await finished(append)  # a cancelled request must not give the lock free while the thread writes
            append.result()
            self._waits = True
            self._filled.set()
        return receipt

    async def run(self) -> None:
        """Write what waits on disk, until cancelled."""
        backoff = Backoff(0.2, 5.0)
        while True:
            await self._filled.wait()
            try:
                await self._drain()
            except (SourceError, BusyError):
                await backoff.wait()
                continue
            backoff.reset()

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    async def _drain(self) -> None:
        """Write the oldest file, or end the spool if there is none."""
        async with self._lock:
            paths = self._files.files()
            if not paths:
                self._waits = False
                self._filled.clear()
                logger.info("the spool is written")
                return
            if len(paths) == 1:
                self._files.close_output()
        requests = await asyncio.to_thread(lambda: list(self._files.read(paths[0])))
        for first in range(0, len(requests), _TOGETHER):
            results = await asyncio.gather(
                *(self._write(request) for request in requests[first : first + _TOGETHER]), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        self._files.remove(paths[0])

    async def _write(self, request: Spooled) -> None:
        try:
            await self._receiver.receive(request.body, request.protocol, tenant=request.tenant, retried=False)
        except RequestError as error:  # it was accepted, so only the database can have refused it
            logger.error("a request in the spool is refused", extra={"error": error.message})
