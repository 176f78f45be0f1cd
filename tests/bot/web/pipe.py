"""A bad line between a browser and a server: counts bytes, and drops every connection at will."""

import asyncio
import contextlib


class Pipe:
    """Listens on 127.0.0.1; ``drop_at``: totals of bytes sent at which all connections end."""

    def __init__(self, target_url=None, *, drop_at=(), down_s=0.5) -> None:
        self.target_url = target_url
        self.sent = 0
        self.drops = 0
        self._drop_at = sorted(drop_at)
        self._down_s = down_s
        self._up_at = 0.0
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.drop()
        await self._server.wait_closed()

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader, writer) -> None:
        if asyncio.get_running_loop().time() < self._up_at:
            writer.transport.abort()
            return
        port = int(self.target_url.rpartition(":")[2])
        try:
            inner, out = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, out}
        await asyncio.gather(
            self._pump(reader, out, counted=True), self._pump(inner, writer, counted=False)
        )
        self._writers -= {writer, out}

    async def _pump(self, reader, writer, *, counted) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if counted:
                    self.sent += len(data)
                    if self._drop_at and self.sent >= self._drop_at[0]:
                        self._drop_at.pop(0)
                        self.drops += 1
                        self._up_at = asyncio.get_running_loop().time() + self._down_s
                        self.drop()
                        return
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()
