"""The server on 127.0.0.1: Bot API, file downloads and driving routes in one aiohttp app."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from bot.sandbox.api import Api
from bot.sandbox.chats import Json, User, World
from bot.sandbox.control import Control, explain_refusals
from bot.sandbox.driver import Driver
from bot.sandbox.errors import ApiError, too_many_requests
from bot.sandbox.files import FileStore
from bot.sandbox.limits import Fault, FaultKind, Faults, Limiter, Rates, Rules
from bot.sandbox.methods import call_method
from bot.sandbox.params import Params, read_params
from bot.sandbox.people import People
from bot.sandbox.updates import UpdateQueue
from bot.sandbox.web import page_routes
from bot.sandbox.web.scene import Scene

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOCAL_NAMES = frozenset({HOST, "localhost"})
OWN_SITES = frozenset({"none", "same-origin"})
DEFAULT_TOKEN = "1000001:sandbox-token-that-opens-nothing"  # noqa: S105 - of this server only
TOKEN = re.compile(r"\d+:[\w-]+")
BOT_USERNAME = "noxfvr_sandbox_bot"
SHUTDOWN_S = 2.0
MAX_CALLS = 100_000


class Sandbox:
    """A Bot API server for one bot on one machine.

    Nothing leaves 127.0.0.1 and nothing is kept after ``stop`` unless ``root`` names a folder for
    the files.
    """

    def __init__(
        self,
        *,
        token: str = DEFAULT_TOKEN,
        root: Path | None = None,
        rules: Rules | None = None,
        rates: Rates | None = None,
        limited: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not TOKEN.fullmatch(token):
            raise ValueError("a token is the bot's number, a colon, and letters, digits, _ or -")
        self.token = token
        self.rules = rules or Rules()
        self.base_url = ""
        self._root = root
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._limiter = Limiter((rates or Rates()) if limited else None)
        self._faults = Faults()
        self._clock = clock
        self._calls: list[Json] = []
        self._runner: web.AppRunner | None = None
        self._api: Api | None = None

    async def start(self, port: int = 0) -> str:
        """Listen on 127.0.0.1 and return the base URL; port 0 takes a free one."""
        self._api = self._build_api()
        self._runner = web.AppRunner(
            self._build_app(self._api), access_log=None, shutdown_timeout=SHUTDOWN_S
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port)
        await site.start()
        self.base_url = f"http://{HOST}:{self._runner.addresses[0][1]}"
        log.info("sandbox listens on %s", self.base_url)
        return self.base_url

    async def stop(self) -> None:
        """Let go of everyone who waits, close the port, remove temporary files."""
        if self._api is not None:
            self._api.updates.changed.close()
            self._api.world.changed.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def __aenter__(self) -> Sandbox:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def has_bot(self) -> bool:
        """True once a bot has asked for updates."""
        return self._api is not None and self._api.updates.asked_for

    def end(self, why: str) -> None:
        """Tell all who look on that the bot is gone, and why."""
        if self._api is not None:
            self._api.world.end(why)

    def driver(self) -> Driver:
        """A client of the driving routes, to be used as ``async with``."""
        return Driver(self.base_url)

    def _build_api(self) -> Api:
        if self._root is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="sandbox-")
        root = Path(self._temporary.name) if self._temporary else self._root
        bot = User(
            id=int(self.token.partition(":")[0]),
            is_bot=True,
            first_name="noxfvr",
            username=BOT_USERNAME,
        )
        world = World(bot, self._clock)
        return Api(
            world=world,
            updates=UpdateQueue(self.rules.first_update_id),
            files=FileStore(root or Path(), self.token, self.rules),
            rules=self.rules,
            started_at=world.now(),
        )

    def _build_app(self, api: Api) -> web.Application:
        people = People(api)
        control = Control(people, self._limiter, self._faults, self._calls, api)
        app = web.Application(middlewares=[_local_only, explain_refusals])
        # The method is everything after the token, so that odd tokens reach the 401 as well.
        app.router.add_route("*", "/bot{token}/{method}", self._serve_method)
        app.router.add_get("/file/bot{token}/{path:.+}", self._serve_file)
        app.router.add_routes(control.routes())
        app.router.add_routes(page_routes(Scene(people, api, self.token)))
        return app

    async def _serve_method(self, request: web.Request) -> web.StreamResponse:
        if not self._is_authorized(request) or self._api is None:
            return _answer(ApiError(401, "Unauthorized"))
        method = request.match_info["method"]
        params = Params({}, {})
        fault: Fault | None = None
        error: ApiError | None = None
        result: Any = None
        called_at = self._api.world.now()
        try:
            params = await read_params(request, self._api.files.spool, self.rules.upload_bytes)
            fault = self._faults.take(method, params.chat_id())
            if fault is not None:
                await self._suffer(fault)
            result = await call_method(self._api, self._limiter, method, params)
        except ApiError as refused:
            error = refused
        except (_DroppedError, ConnectionError):  # the bot died in the middle of its call
            return _drop(request)
        except Exception:
            log.exception("%s failed", method)
            error = ApiError(500, "Internal Server Error")
        finally:
            params.discard_uploads()
            self._log(called_at, method, params, error, fault)
        if fault is not None and fault.kind is FaultKind.DROP_AFTER:
            return _drop(request)
        if error is not None:
            return _answer(error)
        return web.json_response({"ok": True, "result": result})

    async def _serve_file(self, request: web.Request) -> web.StreamResponse:
        path = self._api.files.served(request.match_info["path"]) if self._api else None
        if not self._is_authorized(request) or path is None:
            return _answer(ApiError(404, "Not Found"))
        return web.FileResponse(path)

    def _is_authorized(self, request: web.Request) -> bool:
        given = request.match_info["token"].encode()
        return secrets.compare_digest(given, self.token.encode())

    async def _suffer(self, fault: Fault) -> None:
        if fault.kind is FaultKind.DELAY:
            await asyncio.sleep(fault.seconds)
        elif fault.kind is FaultKind.RETRY_AFTER:
            raise too_many_requests(int(fault.seconds))
        elif fault.kind is FaultKind.SERVER_ERROR:
            raise ApiError(500, "Internal Server Error")
        elif fault.kind is FaultKind.BAD_GATEWAY:
            raise ApiError(502, "Bad Gateway")
        elif fault.kind is FaultKind.DROP_BEFORE:
            raise _DroppedError

    def _log(
        self,
        called_at: float,
        method: str,
        params: Params,
        error: ApiError | None,
        fault: Fault | None,
    ) -> None:
        call: Json = {
            "at": called_at,
            "method": method,
            "chat_id": params.chat_id(),
            "message_id": params.values.get("message_id"),
            "code": 200 if error is None else error.code,
            "description": "" if error is None else error.description,
            "retry_after": None if error is None else error.retry_after,
            "fault": None if fault is None else str(fault.kind),
        }
        self._calls.append(call)
        del self._calls[:-MAX_CALLS]


class _DroppedError(Exception):
    """The connection is to be closed before anything happens."""


@web.middleware
async def _local_only(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refuse pages of other sites: a foreign Host (DNS rebinding), a foreign Origin, or what they
    load without one, as pictures are (Fetch Metadata). A link to the page itself may be followed.
    """
    host = urlsplit(f"//{request.host}").hostname
    origin = request.headers.get("Origin")
    if host not in LOCAL_NAMES or (origin is not None and urlsplit(origin).netloc != request.host):
        raise web.HTTPForbidden
    if request.path != "/" and request.headers.get("Sec-Fetch-Site", "none") not in OWN_SITES:
        raise web.HTTPForbidden
    response: web.StreamResponse = await handler(request)
    return response


def _answer(error: ApiError) -> web.Response:
    if error.code == 502:
        page = "<html><head><title>502 Bad Gateway</title></head></html>"
        return web.Response(status=502, text=page, content_type="text/html")
    return web.json_response(error.body(), status=error.code)


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
