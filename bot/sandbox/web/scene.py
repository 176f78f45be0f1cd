"""What the page asks for beyond the driving routes: who is there, menus, forwarding, Mini Apps."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from bot.sandbox.api import Api
from bot.sandbox.chats import Chat, Json, User
from bot.sandbox.errors import RefusedError
from bot.sandbox.menu import find_menu_button
from bot.sandbox.people import People
from bot.sandbox.profile import commands_seen

WEB_APP_VERSION = "9.1"


class Scene:
    """The page's own routes under ``/sandbox``; ``token`` signs what Mini Apps are told."""

    def __init__(self, people: People, api: Api, token: str) -> None:
        self._people = people
        self._api = api
        self._world = api.world
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sandbox/world", self._show_world),
            web.get("/sandbox/menu", self._show_menu),
            web.post("/sandbox/forward", self._forward),
            web.post("/sandbox/web_app", self._open_web_app),
        ]

    async def _show_world(self, request: web.Request) -> web.Response:
        """Everybody, and every chat with its members and its newest message."""
        bot = self._world.bot
        persons = [user.to_json() for user in self._world.users.values() if user.id != bot.id]
        return web.json_response(
            {
                "revision": len(self._world.transcript),
                "now": self._world.now(),
                "ending": self._world.ending,
                "bot": bot.to_json(),
                "privacy": self._api.rules.privacy,
                "persons": persons,
                "chats": [_describe(chat) for chat in self._world.chats.values()],
            }
        )

    async def _show_menu(self, request: web.Request) -> web.Response:
        """The commands that a person sees in a chat, and the button beside the text field."""
        chat, user = self._find(request.query)
        button = find_menu_button(self._api, chat.id) if chat.is_private else None
        commands = commands_seen(self._api, chat, user)
        return web.json_response({"commands": commands, "button": button})

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.json()
        message = self._people.forward(
            int(body["chat_id"]),
            int(body["user_id"]),
            int(body["source_id"]),
            int(body["message_id"]),
        )
        return web.json_response(message.to_json())

    async def _open_web_app(self, request: web.Request) -> web.Response:
        """The address of a Mini App with its launch parameters.

        Source: core.telegram.org/bots/webapps#initializing-mini-apps.
        """
        body = await request.json()
        chat, user = self._find(body)
        url = str(body["url"])
        if url not in self._web_apps(chat, int(body.get("message_id") or 0)):
            raise RefusedError("no button here opens this")
        init_data = sign_init_data(self._token, user, self._world.now())
        launch = urlencode(
            {
                "tgWebAppData": init_data,
                "tgWebAppVersion": WEB_APP_VERSION,
                "tgWebAppPlatform": "web",
                "tgWebAppThemeParams": json.dumps(body.get("theme") or {}),
            },
            quote_via=quote,
        )
        return web.json_response({"url": f"{url}{'&' if '#' in url else '#'}{launch}"})

    def _web_apps(self, chat: Chat, message_id: int) -> set[str]:
        """What the buttons of a message, or without one the menu button, open."""
        message = chat.find(message_id)
        markup = {} if message is None else message.raw.get("reply_markup", {})
        buttons = [button for row in markup.get("inline_keyboard", []) for button in row]
        if message is None and chat.is_private:
            buttons = [find_menu_button(self._api, chat.id)]
        return {str(button["web_app"]["url"]) for button in buttons if "web_app" in button}

    def _find(self, named: Any) -> tuple[Chat, User]:
        chat = self._world.chat(int(named["chat_id"]))
        user = self._world.user(int(named["user_id"]))
        if user.id not in chat.members:
            raise RefusedError(f"{user.id} is not in chat {chat.id}")
        return chat, user


def sign_init_data(token: str, user: User, now: float) -> str:
    """The ``initData`` of a Mini App that ``user`` opened; ``now`` is UTC epoch seconds.

    Source: core.telegram.org/bots/webapps#validating-data-received-via-the-mini-app.
    """
    described = {key: value for key, value in user.to_json().items() if key != "is_bot"}
    fields = {
        "auth_date": str(int(now)),
        "query_id": secrets.token_urlsafe(18),
        "user": json.dumps(described, ensure_ascii=False, separators=(",", ":")),
    }
    checked = "\n".join(f"{key}={value}" for key, value in sorted(fields.items()))
    key = hmac.new(b"WebAppData", token.encode(), hashlib.sha256).digest()
    fields["hash"] = hmac.new(key, checked.encode(), hashlib.sha256).hexdigest()
    return urlencode(fields, quote_via=quote)


def _describe(chat: Chat) -> Json:
    shown = [message for message in chat.messages.values() if not message.deleted]
    return chat.to_json() | {
        "members": {str(user_id): status for user_id, status in chat.members.items()},
        "started": chat.started,
        "blocked": chat.blocked,
        "last": shown[-1].to_json() if shown else None,
    }
