"""An object behind a URL as a file that is fetched only where it is read.

FFmpeg could open the URL by itself, but would neither check certificates, nor go on where a
connection broke, nor keep the URL out of its messages. Nothing is written to disk.
"""

from __future__ import annotations

import http.client
import io
import re
import urllib.error
import urllib.parse
import urllib.request
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from remote_runner.errors import MachineError
from remote_runner.protocol import Reason
from remote_runner.urls import local_path, open_url, place, repeat

_BLOCK = 1 << 20
_BLOCKS = 16
"""Blocks kept in memory: a demuxer goes back and forth between a few places."""
_STREAMS = 4
"""Connections kept open, each at another place of the file."""
_RANGE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")


class RemoteFile:
    """The object at an http(s) URL. Errors are :class:`MachineError` and never hold the URL."""

    def __init__(self, url: str) -> None:
        if local_path(url) is not None:
            raise MachineError(Reason.TRANSFER_FAILED, "a file is no URL to read from")
        self._url = url
        self.size: int = repeat(url, self._ask_size)
        self._skipped: list[range] = []
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._streams: OrderedDict[int, Any] = OrderedDict()

    @property
    def name(self) -> str:
        """What may be said of it: how its name ends tells some formats."""
        suffix = PurePosixPath(urllib.parse.urlsplit(self._url).path).suffix
        return f"remote{suffix}" if suffix[1:].isalnum() and suffix.isascii() else "remote"

    def open(self) -> RemoteReader:
        """A reader of its own, at the first byte."""
        return RemoteReader(self)

    @contextmanager
    def skipping(self, ranges: Iterable[range]) -> Iterator[None]:
        """Meanwhile these bytes are not fetched: zeros are read in their place."""
        self._skipped = list(ranges)
        try:
            yield
        finally:
            self._skipped = []

    def piece(self, start: int, size: int) -> bytes:
        """Some bytes of the content, at least one of those wanted."""
        for skipped in self._skipped:
            if start in skipped:
                return bytes(min(size, skipped.stop - start))
            if start < skipped.start:
                size = min(size, skipped.start - start)
        number, offset = divmod(start, _BLOCK)
        return self._block(number)[offset : offset + size]

    def close(self) -> None:
        while self._streams:
            self._streams.popitem()[1].close()

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _block(self, number: int) -> bytes:
        """One block of the content; the last is shorter."""
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * _BLOCK
        length = min(_BLOCK, self.size - start)
        data = repeat(self._url, lambda: self._fetch(start, length))
        self._blocks[number] = data
        if len(self._blocks) > _BLOCKS:
            self._blocks.popitem(last=False)
        return data

    def _ask_size(self) -> int:
        # a URL that is signed for GET allows no HEAD
        try:
            with self._open("bytes=0-0") as answer:
                found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        except urllib.error.HTTPError as error:
            found = _RANGE.fullmatch(error.headers.get("Content-Range", ""))
            if error.code != 416:
                raise
            error.close()
            return int(found[1]) if found else 0
        if not found:
            raise MachineError(Reason.TRANSFER_FAILED, f"{place(self._url)}: no ranges")
        return int(found[1])

    def _fetch(self, start: int, length: int) -> bytes:
        stream = self._streams.pop(start, None) or self._open(f"bytes={start}-")
        try:
            if stream.status != 206:
                raise MachineError(Reason.TRANSFER_FAILED, f"{place(self._url)}: no ranges")
            data: bytes = stream.read(length)
            if len(data) < length:
                raise http.client.IncompleteRead(b"", length - len(data))
        except BaseException:
            stream.close()
            raise
        self._keep(start + length, stream)
        return data

    def _keep(self, position: int, stream: Any) -> None:
        replaced = self._streams.pop(position, None)
        if replaced:
            replaced.close()
        self._streams[position] = stream
        if len(self._streams) > _STREAMS:
            self._streams.popitem(last=False)[1].close()

    def _open(self, wanted: str) -> Any:
        headers = {"Range": wanted}
        return open_url(urllib.request.Request(self._url, headers=headers))  # noqa: S310 - checked


class RemoteReader(io.RawIOBase):
    """A place in a :class:`RemoteFile`."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._at = 0
        self.name = file.name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the first byte")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self._file.size - self._at)
        size = left if size < 0 else min(size, left)
        parts = []
        while size:
            part = self._file.piece(self._at, size)
            parts.append(part)
            self._at += len(part)
            size -= len(part)
        return b"".join(parts)
