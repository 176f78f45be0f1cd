"""The one port of this program: pages for people, health and figures for who runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bot.cards.choices import fit_task
from bot.defaults import find_task
from bot.settings import BotSettings
from bot.texts import Texts
from bot.web.guard import make_guard
from bot.web.links import make_routes as make_link_routes
from bot.web.uploads import UploadPages
from controller.errors import SettingsError
from controller.service import Controller
from controller.web import make_routes as make_watch_routes

log = logging.getLogger(__name__)

#: Bodies that are read whole; parts of files are not.
_LARGEST_BODY = 64 << 10
_SHUTDOWN_S = 2.0
#: Failures of whoever asks, which the server itself would tell with all their causes.
_THEIRS = (HttpProcessingError, web.RequestPayloadError, ConnectionError)


def build_app(controller: Controller, settings: BotSettings, texts: Texts) -> web.Application:
    """All routes behind the guard."""
    app = web.Application(
        client_max_size=_LARGEST_BODY, middlewares=[make_guard(controller.settings)]
    )
    app.add_routes(make_watch_routes(controller))
    app.add_routes(make_link_routes(controller, texts))
    app.add_routes(UploadPages(controller, settings, texts).routes())
    return app


@asynccontextmanager
async def serve_web(
    controller: Controller, settings: BotSettings, texts: Texts
) -> AsyncIterator[str]:
    """Serve while the context is open; where, as ``http://host:port``.

    Nowhere, an empty text, where the port is taken and nobody counts on the pages. Where somebody
    does, that is a :class:`SettingsError`.
    """
    # addresses hold codes, so that nothing is logged of a request
    runner = web.AppRunner(
        build_app(controller, settings, texts),
        access_log=None,
        logger=_make_log(),
        shutdown_timeout=_SHUTDOWN_S,
    )
    await runner.setup()
    controller.uploads.choose_task = lambda owner, facts: fit_task(
        find_task(controller, owner), facts
    )
    resuming: asyncio.Task[None] | None = None
    try:
        where = await _listen(runner, controller)
        resuming = asyncio.create_task(controller.uploads.resume(), name="uploads")
        yield where
    finally:
        if resuming is not None:
            resuming.cancel()
            await asyncio.wait([resuming])
        await controller.uploads.close()
        await runner.cleanup()


class _OfOurs(logging.Filter):
    """Leaves out requests that are not even HTTP, and lines that drop: anybody can do so any
    number of times, and what is told of it quotes their addresses."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, _THEIRS)


def _make_log() -> logging.Logger:
    """Where the server itself says what fails."""
    server_log = logging.getLogger(f"{__name__}.http")
    if not server_log.filters:
        server_log.addFilter(_OfOurs())
    return server_log


async def _listen(runner: web.AppRunner, controller: Controller) -> str:
    host, port = controller.settings.bind_address
    bind = controller.settings.bind
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        problem = f"NOXFVR_BIND: {bind} cannot be used ({error.strerror}); name another host:port"
        if controller.settings.must_serve:
            raise SettingsError([problem]) from None
        log.info("No pages, health and figures are served: %s is taken", bind)
        return ""
    host, port = runner.addresses[0][:2]
    where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info("Pages, health and figures are served on %s", where)
    return where
