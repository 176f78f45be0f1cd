"""A TCP proxy that can make every trouble a network makes; ordered about in process.

async with FaultProxy("http://127.0.0.1:8000") as proxy:
    client(proxy.url)
    async with proxy.cut(): ...
"""

import asyncio
import contextlib
from urllib.parse import urlsplit

_CHUNK_BYTES = 1 << 16
_NO_WAIT_S = 0.001


class FaultProxy:
    """Forwards connections to ``target``, its URL; :attr:`url` is the same through the proxy.

    ``delay_s`` holds every chunk back, ``bytes_per_s`` throttles each direction of a connection.
    ``lost`` counts the answers that were dropped after their request had gone through.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self.url = ""
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self.lost = 0
        self.connections = 0
        self._losing = 0
        self._losing_of = b""
        self._is_cut = False
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self):
        await self._listen()
        self.url = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(self, *_):
        await self._stop_listening()
        self._abort_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose_answers(self, count: int, of: bytes = b"") -> None:
        """Let ``count`` requests with these bytes in them go through, and drop their answers."""
        self._losing, self._losing_of = count, of

    @contextlib.asynccontextmanager
    async def cut(self):
        """All connections break, and new ones break as soon as they are made."""
        self._is_cut = True
        self._abort_all()
        try:
            yield
        finally:
            self._is_cut = False

    @contextlib.asynccontextmanager
    async def refusing(self):
        """All connections break, and nobody listens any more."""
        await self._stop_listening()
        self._abort_all()
        try:
            yield
        finally:
            await self._listen()

    async def _listen(self) -> None:
        # the same port again, so that the URL stays
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _abort_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            if not self._is_cut:
                await self._connect(reader, writer)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, requests = await asyncio.open_connection(*self._target)
        except OSError:
            return  # nobody is there: the client sees its connection break
        self._open.add(requests)
        doomed = asyncio.Event()
        ways = [
            asyncio.create_task(self._forward(reader, requests, self._watch(doomed))),
            asyncio.create_task(self._forward(answers, writer, lambda _: not doomed.is_set())),
        ]
        self._tasks.update(ways)
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # what has been read is still written before the other way ends
            await asyncio.wait(ways, timeout=0.05)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._tasks.difference_update(ways)
            self._open.discard(requests)
            requests.transport.abort()

    def _watch(self, doomed: asyncio.Event):
        """Notes a request whose answer is to be lost; all requests go through."""

        def look(chunk: bytes) -> bool:
            if self._losing > 0 and self._losing_of in chunk:
                self._losing -= 1
                self.lost += 1
                doomed.set()
            return True

        return look

    async def _forward(self, reader, writer, passes) -> None:
        """Until one side ends, or ``passes(chunk)`` is false."""
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                if not passes(chunk):
                    return
                wait_s = self.delay_s
                if self.bytes_per_s:
                    wait_s += len(chunk) / self.bytes_per_s
                if wait_s > _NO_WAIT_S:
                    await asyncio.sleep(wait_s)
                writer.write(chunk)
                await writer.drain()
        except (ConnectionError, OSError):
            return  # a broken connection ends both ways
