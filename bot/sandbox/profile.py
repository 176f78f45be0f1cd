"""Methods about the bot itself and about chats: its commands and descriptions, members."""

from __future__ import annotations

import re
from typing import Any

from bot.sandbox.api import Api, chat_to_look_at
from bot.sandbox.chats import Chat, Json, User
from bot.sandbox.errors import Text, bad_request, too_many_requests
from bot.sandbox.params import Params

COMMAND = re.compile(r"[a-z0-9_]{1,32}")
MAX_COMMANDS = 100
MAX_DESCRIPTION = 256
CLOSE_AFTER_S = 600
SCOPES = frozenset(
    {"default", "all_private_chats", "all_group_chats", "all_chat_administrators"}
    | {"chat", "chat_administrators", "chat_member"}
)
RIGHTS = (
    "can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users",
    "can_post_stories", "can_edit_stories", "can_delete_stories", "can_send_welcome_messages",
    "can_pin_messages",
)  # fmt: skip
Scope = tuple[str, int, int]


def get_me(api: Api, params: Params) -> Json:
    return api.world.bot.to_json() | {
        "can_join_groups": True,
        "can_read_all_group_messages": not api.rules.privacy,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


def log_out(api: Api, params: Params) -> bool:
    api.logged_out = True
    return True


def close(api: Api, params: Params) -> bool:
    """Refused in the first ten minutes of the server's life, as on Telegram."""
    left_s = CLOSE_AFTER_S - (api.world.now() - api.started_at)
    if left_s > 0:
        raise too_many_requests(int(left_s) + 1)
    return True


def set_my_commands(api: Api, params: Params) -> bool:
    commands = params.array("commands")
    if commands is None:
        raise bad_request('parameter "commands" is required')
    if len(commands) > MAX_COMMANDS:
        raise bad_request(Text.COMMANDS_TOO_MANY)
    checked = [_check_command(command) for command in commands]
    api.commands[(*_read_scope(api, params), _language(params))] = checked
    return True


def get_my_commands(api: Api, params: Params) -> list[Json]:
    return api.commands.get((*_read_scope(api, params), _language(params)), [])


def delete_my_commands(api: Api, params: Params) -> bool:
    api.commands.pop((*_read_scope(api, params), _language(params)), None)
    return True


def set_my_description(api: Api, params: Params) -> bool:
    return _describe(api, params, "description", 512)


def set_my_short_description(api: Api, params: Params) -> bool:
    return _describe(api, params, "short_description", 120)


def get_chat(api: Api, params: Params) -> Json:
    chat = chat_to_look_at(api, params)
    gifts = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription")
    pinned = chat.find(chat.pinned_id)
    return chat.to_json() | {
        "accent_color_id": abs(chat.id) % 7,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys((*gifts, "gifts_from_channels"), False),
        **({"pinned_message": pinned.raw} if pinned else {}),
    }


def get_chat_member(api: Api, params: Params) -> Json:
    chat = chat_to_look_at(api, params)
    user = api.world.users.get(params.integer("user_id") or 0)
    if user is None or user.id not in chat.members:
        raise bad_request(Text.MEMBER_NOT_FOUND)
    return member_json(chat, user)


def member_json(chat: Chat, user: User, status: str | None = None) -> Json:
    """A ``ChatMember`` of the given or the present status."""
    member: Json = {"user": user.to_json(), "status": status or chat.members.get(user.id, "left")}
    if member["status"] == "creator":
        return member | {"is_anonymous": False}
    if member["status"] == "administrator":
        return member | dict.fromkeys(RIGHTS, False)
    if member["status"] == "kicked":
        return member | {"until_date": 0}
    return member


def commands_seen(api: Api, chat: Chat, user: User) -> list[Json]:
    """What the app shows this user in this chat: the narrowest scope, own language first.

    Order: core.telegram.org/bots/api#determining-list-of-commands.
    """
    for scope in _scopes(chat, user):
        for language in (user.language_code or "", ""):
            found = api.commands.get((*scope, language))
            if found:
                return found
    return []


def _scopes(chat: Chat, user: User) -> list[Scope]:
    here: list[Scope] = [("chat", chat.id, 0)]
    if chat.is_private:
        return [*here, ("all_private_chats", 0, 0), ("default", 0, 0)]
    is_admin = chat.members.get(user.id) in {"creator", "administrator"}
    own: list[Scope] = [("chat_administrators", chat.id, 0)] if is_admin else []
    every: list[Scope] = [("all_chat_administrators", 0, 0)] if is_admin else []
    member: Scope = ("chat_member", chat.id, user.id)
    return [member, *own, *here, *every, ("all_group_chats", 0, 0), ("default", 0, 0)]


def _read_scope(api: Api, params: Params) -> Scope:
    scope = params.mapping("scope") or {"type": "default"}
    kind = scope.get("type")
    if kind not in SCOPES:
        raise bad_request("unsupported type specified")
    if not str(kind).startswith("chat"):
        return str(kind), 0, 0
    inside = Params(scope, {})
    chat = chat_to_look_at(api, inside)
    return str(kind), chat.id, (inside.integer("user_id") or 0) if kind == "chat_member" else 0


def _language(params: Params) -> str:
    return params.text("language_code") or ""


def _check_command(command: Any) -> Json:
    if not isinstance(command, dict):
        raise bad_request("expected an Object")
    name = str(command.get("command", "")).removeprefix("/")
    if not COMMAND.fullmatch(name):
        raise bad_request(Text.COMMAND_INVALID)
    description = str(command.get("description", ""))
    if not 1 <= len(description) <= MAX_DESCRIPTION:
        raise bad_request(Text.COMMAND_DESCRIPTION)
    return {"command": name, "description": description}


def _describe(api: Api, params: Params, name: str, limit: int) -> bool:
    text = params.text(name) or ""
    if len(text) > limit:
        raise bad_request(f"{name.replace('_', ' ')} is too long")
    api.descriptions[(name, _language(params))] = text
    return True
