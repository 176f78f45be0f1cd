"""Routes under ``/sandbox``: persons act, and tests look at what the bot did. JSON in, JSON out.

A refused deed answers 409 with ``{"error": …}``, a malformed call 400.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from aiohttp import web

from bot.sandbox.api import Api
from bot.sandbox.chats import Json, User
from bot.sandbox.errors import ApiError, RefusedError
from bot.sandbox.files import FileKind, StoredFile, is_png
from bot.sandbox.limits import Fault, FaultKind, Faults, Limiter, Rates
from bot.sandbox.params import Params, read_params
from bot.sandbox.people import Attachment, People, Utterance
from bot.sandbox.profile import commands_seen

MAX_WAIT_S = 60.0
MAX_FILE_BYTES = 4 << 30


class Control:
    """The driving side of a sandbox; ``calls`` is the server's log of Bot API calls."""

    def __init__(
        self, people: People, limiter: Limiter, faults: Faults, calls: list[Json], api: Api
    ) -> None:
        self._people = people
        self._limiter = limiter
        self._faults = faults
        self._calls = calls
        self._api = api
        self._world = api.world

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/sandbox/persons", self._enter),
            web.post("/sandbox/groups", self._found_group),
            web.post("/sandbox/say", self._say),
            web.post("/sandbox/edit", self._edit),
            web.post("/sandbox/press", self._press),
            web.post("/sandbox/press_raw", self._press_raw),
            web.post("/sandbox/delete", self._delete),
            web.post("/sandbox/block", self._block),
            web.get("/sandbox/messages", self._messages),
            web.get("/sandbox/transcript", self._transcript),
            web.get("/sandbox/queries/{query_id}", self._query),
            web.get("/sandbox/calls", self._list_calls),
            web.get("/sandbox/commands", self._commands),
            web.get("/sandbox/state", self._state),
            web.get("/sandbox/files/{file_id}", self._file),
            web.post("/sandbox/faults", self._add_fault),
            web.delete("/sandbox/faults", self._clear_faults),
            web.post("/sandbox/rates", self._set_rates),
            web.post("/sandbox/clock", self._advance),
        ]

    async def _enter(self, request: web.Request) -> web.Response:
        body = await request.json()
        user = User(**{key: value for key, value in body.items() if value is not None})
        return web.json_response(self._people.enter(user).to_json())

    async def _found_group(self, request: web.Request) -> web.Response:
        body = await request.json()
        members = {int(user_id): str(status) for user_id, status in body["members"].items()}
        chat = self._people.found_group(int(body["id"]), str(body["title"]), members)
        return web.json_response(chat.to_json())

    async def _say(self, request: web.Request) -> web.Response:
        """Multipart with ``options`` (JSON), ``file0``, ``file1`` …; without files plain JSON."""
        params = await read_params(request, self._api.files.spool, MAX_FILE_BYTES)
        try:
            options = params.mapping("options") or params.values
            utterance = Utterance(
                text=str(options.get("text") or ""),
                attachments=tuple(_attachments(options.get("media") or [], params)),
                reply_to=options.get("reply_to"),
                forward_from=options.get("forward_from"),
            )
            said = self._people.say(int(options["chat_id"]), int(options["user_id"]), utterance)
        finally:
            params.discard_uploads()
        return web.json_response([message.to_json() for message in said])

    async def _edit(self, request: web.Request) -> web.Response:
        chat_id, user_id, message_id, body = await _deed(request)
        edited = self._people.edit(chat_id, user_id, message_id, str(body["text"]))
        return web.json_response(edited.to_json())

    async def _press(self, request: web.Request) -> web.Response:
        chat_id, user_id, message_id, body = await _deed(request)
        query = self._people.press(chat_id, user_id, message_id, str(body["button"]))
        return web.json_response({"query_id": query.id})

    async def _press_raw(self, request: web.Request) -> web.Response:
        chat_id, user_id, message_id, body = await _deed(request)
        query = self._people.press_raw(chat_id, user_id, message_id, str(body["data"]))
        return web.json_response({"query_id": query.id})

    async def _delete(self, request: web.Request) -> web.Response:
        chat_id, user_id, message_id, _ = await _deed(request)
        self._people.delete(chat_id, user_id, message_id)
        return web.json_response({})

    async def _block(self, request: web.Request) -> web.Response:
        chat_id, user_id, _, body = await _deed(request)
        self._people.block(chat_id, user_id, blocked=bool(body["blocked"]))
        return web.json_response({})

    async def _messages(self, request: web.Request) -> web.Response:
        """Messages of a chat as they are now; waits while nothing happened after ``revision``."""
        await self._wait_for_news(request, "revision")
        chat = self._world.chat(int(request.query["chat_id"]))
        shown = [message.to_json() for message in chat.messages.values() if not message.deleted]
        return web.json_response({"revision": len(self._world.transcript), "messages": shown})

    async def _transcript(self, request: web.Request) -> web.Response:
        await self._wait_for_news(request, "since")
        entries = self._world.transcript[int(request.query.get("since", 0)) :]
        wanted = request.query.get("chat_id")
        if wanted is not None:
            entries = [entry for entry in entries if entry["chat_id"] == int(wanted)]
        return web.json_response(
            {
                "revision": len(self._world.transcript),
                "entries": entries,
                "ending": self._world.ending,
            }
        )

    async def _query(self, request: web.Request) -> web.Response:
        await self._wait_for_news(request, "revision")
        query = self._world.queries.get(request.match_info["query_id"])
        if query is None:
            raise RefusedError("there was no such press")
        return web.json_response({"revision": len(self._world.transcript), "answer": query.answer})

    async def _list_calls(self, request: web.Request) -> web.Response:
        method = request.query.get("method", "").lower()
        found = [call for call in self._calls if not method or call["method"].lower() == method]
        return web.json_response(found)

    async def _commands(self, request: web.Request) -> web.Response:
        chat = self._world.chat(int(request.query["chat_id"]))
        user = self._world.user(int(request.query["user_id"]))
        return web.json_response(commands_seen(self._api, chat, user))

    async def _state(self, request: web.Request) -> web.Response:
        descriptions = [
            {"name": name, "language_code": language, "text": text}
            for (name, language), text in self._api.descriptions.items()
        ]
        return web.json_response(
            {
                "bot": self._world.bot.to_json(),
                "now": self._world.now(),
                "pending_updates": self._api.updates.pending,
                "descriptions": descriptions,
            }
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        stored = self._api.files.get(request.match_info["file_id"])
        if stored is None:
            raise RefusedError("there is no such file")
        # Foreign bytes at the page's own address: nothing of them may run as a page of it.
        headers = {
            "Content-Type": _content_type(stored),
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
        }
        if "save" in request.query:
            headers["Content-Disposition"] = _disposition(stored.file_name or "file")
        return web.FileResponse(stored.path, headers=headers)

    async def _add_fault(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._faults.add(Fault(**{**body, "kind": FaultKind(body["kind"])}))
        return web.json_response({})

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response({})

    async def _set_rates(self, request: web.Request) -> web.Response:
        """``null`` switches the limits off; an object changes those it names."""
        body = await request.json()
        self._limiter.configure(None if body is None else replace(Rates(), **body))
        return web.json_response({})

    async def _advance(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._world.advance(float(body["advance_s"]))
        return web.json_response({"now": self._world.now()})

    async def _wait_for_news(self, request: web.Request, name: str) -> None:
        timeout_s = min(float(request.query.get("timeout_s", 0)), MAX_WAIT_S)
        seen = int(request.query.get(name, 0))
        if timeout_s > 0 and not self._world.ending and len(self._world.transcript) <= seen:
            await self._world.changed.wait(timeout_s)


@web.middleware
async def explain_refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    """Errors of the driving side as JSON, so that a client can raise them again."""
    try:
        response: web.StreamResponse = await handler(request)
    except RefusedError as error:
        return web.json_response({"error": str(error)}, status=409)
    except ApiError as error:
        return web.json_response({"error": error.description}, status=400)
    except (KeyError, TypeError, ValueError) as error:
        if not request.path.startswith("/sandbox/"):
            raise
        return web.json_response({"error": f"malformed call: {error!r}"}, status=400)
    return response


async def _deed(request: web.Request) -> tuple[int, int, int, Json]:
    try:
        body = await request.json()
    except json.JSONDecodeError:
        raise ValueError("the body is no JSON") from None
    return int(body["chat_id"]), int(body["user_id"]), int(body.get("message_id", 0)), body


def _content_type(stored: StoredFile) -> str:
    """Of pictures and videos their own, so that a browser shows them; else plain bytes."""
    if stored.kind in {FileKind.PHOTO, FileKind.THUMBNAIL}:
        return "image/png" if is_png(stored.path) else "image/jpeg"
    kind = stored.mime_type or ""
    return kind if re.fullmatch(r"video/[\w.+-]+", kind) else "application/octet-stream"


def _disposition(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"


def _attachments(media: list[Json], params: Params) -> list[Attachment]:
    found = []
    for index, options in enumerate(media):
        upload = params.uploads.get(f"file{index}")
        if upload is None:
            raise RefusedError(f"part file{index} is missing")
        found.append(
            Attachment(**{**options, "upload": upload, "kind": FileKind(options["kind"])})
        )
    return found
