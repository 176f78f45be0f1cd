"""The upload page and what its script asks: JSON, with the code in the path as the only key.

There are no cookies, so that another site can ask for nothing in anybody's name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.cards.wording import describe_error
from bot.roles import find_role
from bot.settings import BotSettings
from bot.texts import Texts
from bot.web.init_data import require_owner
from bot.web.limits import Turns
from bot.web.pages import STATIC, draw_notice, draw_upload_page
from controller.capabilities import Upload, UploadState
from controller.errors import (
    BadPart,
    ControllerError,
    NotYourUpload,
    OtherFile,
    StorageFull,
    TooManyJobs,
    UploadBusy,
    UploadGone,
    UploadIncomplete,
    UserError,
)
from controller.records import Job, Role
from controller.service import Controller
from controller.uploads import MOST_URLS, Progress

_CODE = "{code:[A-Za-z0-9_-]{1,100}}"
_ASSETS = {"page.css": "text/css", "page.js": "text/javascript", "sender.js": "text/javascript",
           "telegram.js": "text/javascript"}  # fmt: skip
#: A proxy may wait a minute for an answer; looking at a large file may take longer.
_LOOK_S = 20.0
#: A sender that says nothing for so long is gone.
_SILENT_S = 90.0
_CHUNK = 1 << 18
#: JavaScript's Number.MAX_SAFE_INTEGER.
_LARGEST_NUMBER = 2**53 - 1
_STATUS: dict[type[UserError], int] = {
    NotYourUpload: 403,
    UploadGone: 410,
    UploadBusy: 429,
    UploadIncomplete: 409,
    OtherFile: 409,
    TooManyJobs: 409,
    StorageFull: 507,
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class UploadPages:
    """Handlers of ``/u/…``."""

    def __init__(self, controller: Controller, settings: BotSettings, texts: Texts) -> None:
        self._controller = controller
        self._uploads = controller.uploads
        self._settings = settings
        self._texts = texts
        self._asking = Turns(per_second=10, burst=60, at_once=12)
        self._sending = Turns(per_second=60, burst=120, at_once=8)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/u/assets/{name}", self._show_asset),
            web.get(f"/u/{_CODE}", self._show_page),
            web.get(f"/u/{_CODE}/state", self._answer(self._show_state)),
            web.post(f"/u/{_CODE}/open", self._answer(self._open)),
            web.post(f"/u/{_CODE}/parts", self._answer(self._sign_parts)),
            web.put(f"/u/{_CODE}/parts/{{number:[0-9]{{1,5}}}}", self._answer(self._take_part)),
            web.post(f"/u/{_CODE}/complete", self._answer(self._complete)),
        ]

    async def _show_asset(self, request: web.Request) -> web.StreamResponse:
        kind = _ASSETS.get(request.match_info["name"])
        if kind is None:
            raise web.HTTPNotFound
        return web.FileResponse(
            STATIC / request.match_info["name"],
            headers={"Content-Type": f"{kind}; charset=utf-8", "Cache-Control": "no-cache"},
        )

    async def _show_page(self, request: web.Request) -> web.StreamResponse:
        try:
            upload = self._uploads.find(request.match_info["code"])
        except UploadGone:
            page = draw_notice(self._texts, "web-upload-over", prefix="")
            return web.Response(status=404, text=page, content_type="text/html")
        page = draw_upload_page(self._texts[upload.language], self._controller.settings)
        return web.Response(text=page, content_type="text/html")

    async def _show_state(self, request: web.Request) -> web.Response:
        return self._describe(await self._uploads.progress(request.match_info["code"]))

    async def _open(self, request: web.Request) -> web.Response:
        code, body = request.match_info["code"], await _read_json(request)
        if (init_data := body.get("init_data")) is not None:
            require_owner(
                str(init_data), token=self._settings.token,
                owner=self._uploads.find(code).owner, now=self._controller.clock(),
            )  # fmt: skip
        name, kind = body.get("name"), body.get("type", "")
        if not (isinstance(name, str) and isinstance(kind, str)):
            raise web.HTTPBadRequest
        progress = await self._uploads.open(
            code, name=_clean(name), size=_read_whole(body.get("bytes")), kind=kind,
            modified=_read_whole(body.get("modified", 0)),
            replace=body.get("replace") is True, resume=body.get("resume") is True,
        )  # fmt: skip
        return self._describe(progress)

    async def _sign_parts(self, request: web.Request) -> web.Response:
        body = await _read_json(request)
        numbers = body.get("numbers")
        if not isinstance(numbers, list) or not 1 <= len(numbers) <= MOST_URLS:
            raise BadPart
        if not all(type(each) is int for each in numbers):
            raise BadPart
        file = body.get("file")
        urls = await self._uploads.part_urls(
            request.match_info["code"], numbers, file=None if file is None else str(file)
        )
        return web.json_response({"urls": {str(number): url for number, url in urls.items()}})

    async def _take_part(self, request: web.Request) -> web.Response:
        code, number = request.match_info["code"], int(request.match_info["number"])
        size = request.content_length
        if size is None:
            raise web.HTTPLengthRequired
        await self._uploads.take_part(
            code, number, _read_body(request), size, file=request.query.get("file")
        )
        self._controller.vitals.count("upload_parts", "relay")
        return web.json_response({"stored": number})

    async def _complete(self, request: web.Request) -> web.Response:
        """The draft, or 202 while the file is looked at: the page asks for the state then."""
        code = request.match_info["code"]
        looking: asyncio.Task[Job] = asyncio.ensure_future(self._uploads.complete(code))
        done, _ = await asyncio.wait([looking], timeout=_LOOK_S)
        if not done:
            looking.add_done_callback(_note_error)
            return web.json_response({"state": "looking"}, status=202)
        await looking
        return self._describe(await self._uploads.progress(code))

    def _answer(self, handler: Handler) -> Handler:
        """With a turn for each page, and errors as JSON in its language."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                upload = self._uploads.find(request.match_info["code"])
                turns = self._sending if request.method == "PUT" else self._asking
                with turns.take(upload.id):
                    self._require_member(upload)
                    return await handler(request)
            except UserError as error:
                return self._refuse(request, error)
            except ControllerError as error:
                trouble = {"code": "trouble", "text": type(error).__name__}
                return web.json_response({"error": trouble}, status=503)

        return answer

    def _require_member(self, upload: Upload) -> None:
        """Who has the address may use it, as long as the one it was made for is served."""
        role = find_role(self._controller, self._settings, upload.owner)
        if upload.owner and role in (None, Role.BLOCKED):
            raise NotYourUpload

    def _describe(self, progress: Progress) -> web.Response:
        upload = progress.upload
        looks = self._uploads.is_looked_at(upload)
        error = None
        if upload.state is UploadState.FAILED:
            error = self._explain(upload.error, upload.language)
        return web.json_response(
            {
                "state": "looking" if looks else str(upload.state),
                "name": upload.name,
                "file": upload.file,
                "bytes": upload.bytes,
                "part_bytes": upload.part_bytes,
                "parts": progress.parts,
                "error": error,
            }
        )

    def _refuse(self, request: web.Request, error: UserError) -> web.Response:
        status = _STATUS.get(type(error), 400)
        try:
            language = self._uploads.find(request.match_info["code"]).language
        except UploadGone:
            language = "en"
        text = describe_error(
            error, self._texts[language], self._controller.settings, self._settings
        )
        told = {"code": error.code, "text": text, **error.data}
        response = web.json_response({"error": told}, status=status)
        if request.method == "PUT":
            response.force_close()  # what is left of the body is not worth reading
        return response

    def _explain(self, code: str, language: str) -> dict[str, str]:
        error = UserError()
        error.code = code
        text = describe_error(
            error, self._texts[language], self._controller.settings, self._settings
        )
        return {"code": code, "text": text}


async def _read_json(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        async with asyncio.timeout(_SILENT_S):
            text = await request.read()
        body = json.loads(text)
    # digits without end, brackets without end, or a sender who says nothing
    except (ValueError, RecursionError, TimeoutError):
        raise web.HTTPBadRequest from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest
    return body


def _read_whole(value: object) -> int:
    """A number as JavaScript writes one."""
    if type(value) is not int or abs(value) > _LARGEST_NUMBER:
        raise web.HTTPBadRequest
    return value


def _clean(name: str) -> str:
    """JSON can hold halves of characters, which nothing else can."""
    return name.encode("utf-8", "replace").decode()[:255]


async def _read_body(request: web.Request) -> AsyncIterator[bytes]:
    """As it comes, in pieces; :class:`UploadBusy` where it stops coming."""
    while True:
        try:
            async with asyncio.timeout(_SILENT_S):
                chunk = await request.content.read(_CHUNK)
        except (TimeoutError, ConnectionError, web.RequestPayloadError):
            raise UploadBusy("the sender went away") from None
        if not chunk:
            return
        yield chunk


def _note_error(done: asyncio.Task[Job]) -> None:
    """The row tells the page what was wrong; the error itself has been seen to here."""
    if not done.cancelled():
        done.exception()
