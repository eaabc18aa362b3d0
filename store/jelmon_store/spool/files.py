"""Requests in files: appended with fsync, read in order, deleted when they are written.

A file is a row of records: length, CRC-32, and a message with the protocol, the tenant and the body. A record that is
cut off was never acknowledged, and ends its file.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from jelmon.errors import ConfigError
from jelmon_store.wire.errors import BusyError
from jelmon_store.wire.negotiation import Protocol

_HEAD = struct.Struct(">II")
FILE_BYTES = 64 * 1024 * 1024


class Spooled(NamedTuple):
    """A request as it came."""

    protocol: Protocol
    tenant: str
    body: bytes


class SpoolFiles:
    """The files of one store; a lock keeps a second one away.

    Raises:
        ConfigError: the folder cannot be used.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._output: BinaryIO | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock: int | None = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            os.lockf(self._lock, os.F_TLOCK, 0)
        except OSError as error:
            raise ConfigError(
                f"--spool.path: cannot use {folder}: {error.strerror or error}",
                hint="name a folder of this store alone, which its user may write",
            ) from error
        self.size = sum(path.stat().st_size for path in self.files())

    def files(self) -> list[Path]:
        """Return the files, oldest first."""
        return sorted(self._folder.glob("*.spool"))

    def append(self, request: Spooled) -> None:
        """Write a request to disk; return when it is there for certain. Called by one thread at a time.

        Raises:
            BusyError: the spool is full, or the disk.
        """
        tenant = request.tenant.encode()
        record = struct.pack(">BH", list(Protocol).index(request.protocol), len(tenant)) + tenant + request.body
        if self.size + len(record) > self._limit:
            raise BusyError("the spool is full", hint="send again later")
        try:
            if self._output is None or self._output.tell() > FILE_BYTES:
                self._begin()
            assert self._output is not None
            self._output.write(_HEAD.pack(len(record), zlib.crc32(record)) + record)
            self._output.flush()
            os.fsync(self._output.fileno())
        except OSError as error:
            self.close_output()  # half a record ends its file
            raise BusyError(f"cannot write to the spool: {error.strerror or error}", hint="send again later") from error
        self.size += _HEAD.size + len(record)

    def read(self, path: Path) -> Iterator[Spooled]:
        """Yield the requests of a file."""
        content = path.read_bytes()
        position = 0
        while position + _HEAD.size <= len(content):
            length, checksum = _HEAD.unpack_from(content, position)
            record = content[position + _HEAD.size : position + _HEAD.size + length]
            if len(record) != length or zlib.crc32(record) != checksum:
                return
            number, tenant_bytes = struct.unpack_from(">BH", record)
            end = 3 + tenant_bytes
            yield Spooled(list(Protocol)[number], record[3:end].decode(), record[end:])
            position += _HEAD.size + length

    def remove(self, path: Path) -> None:
        """Delete a file whose requests are written."""
        self.size -= path.stat().st_size
        path.unlink()

    def close_output(self) -> None:
        """End the file that is written, so that it can be read; the next request begins another."""
        if self._output is not None:
            self._output.close()
            self._output = None

    def close(self) -> None:
        """Close the files and give the folder free."""
        self.close_output()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self) -> None:
        self.close_output()
        last = self.files()[-1:]
        number = int(last[0].stem) + 1 if last else 1
        self._output = (self._folder / f"{number:012d}.spool").open("xb")
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name of the file
        finally:
            os.close(folder)
