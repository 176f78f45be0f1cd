"""The table of Bot API methods that the sandbox knows, and the call of one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.sandbox import editing, menu, profile, sending
from bot.sandbox.api import Api
from bot.sandbox.chats import Json
from bot.sandbox.errors import ApiError, bad_request
from bot.sandbox.limits import Limiter
from bot.sandbox.params import Params


def _one(params: Params) -> int:
    return 1


def _per_item(params: Params) -> int:
    return max(1, len(params.array("media") or []))


@dataclass(frozen=True, slots=True)
class Method:
    """``cost`` counts the messages that a call takes from the chat's rate; None is free."""

    handler: Callable[[Api, Params], Any]
    cost: Callable[[Params], int] | None = None


async def get_updates(api: Api, params: Params) -> list[Json]:
    return await api.updates.poll(
        offset=params.integer("offset") or 0,
        limit=params.integer("limit") or 100,
        timeout_s=params.integer("timeout") or 0,
        allowed=params.array("allowed_updates"),
    )


def set_webhook(api: Api, params: Params) -> bool:
    if params.text("url"):
        raise bad_request("bad webhook: the sandbox delivers by getUpdates only")
    return delete_webhook(api, params)


def delete_webhook(api: Api, params: Params) -> bool:
    if params.boolean("drop_pending_updates"):
        api.updates.drop()
    return True


def get_webhook_info(api: Api, params: Params) -> Json:
    pending = len(api.updates.pending)
    return {"url": "", "has_custom_certificate": False, "pending_update_count": pending}


def get_file(api: Api, params: Params) -> Json:
    return api.files.locate(params.text("file_id"))


METHODS: dict[str, Method] = {
    "getme": Method(profile.get_me),
    "logout": Method(profile.log_out),
    "close": Method(profile.close),
    "getupdates": Method(get_updates),
    "setwebhook": Method(set_webhook),
    "deletewebhook": Method(delete_webhook),
    "getwebhookinfo": Method(get_webhook_info),
    "getfile": Method(get_file),
    "sendmessage": Method(sending.send_message, _one),
    "sendvideo": Method(sending.send_video, _one),
    "senddocument": Method(sending.send_document, _one),
    "sendphoto": Method(sending.send_photo, _one),
    "sendmediagroup": Method(sending.send_media_group, _per_item),
    "sendchataction": Method(sending.send_chat_action),
    "editmessagetext": Method(editing.edit_message_text, _one),
    "editmessagecaption": Method(editing.edit_message_caption, _one),
    "editmessagemedia": Method(editing.edit_message_media, _one),
    "editmessagereplymarkup": Method(editing.edit_message_reply_markup, _one),
    "deletemessage": Method(editing.delete_message),
    "pinchatmessage": Method(editing.pin_chat_message),
    "setmessagereaction": Method(editing.set_message_reaction),
    "answercallbackquery": Method(editing.answer_callback_query),
    "setmycommands": Method(profile.set_my_commands),
    "getmycommands": Method(profile.get_my_commands),
    "deletemycommands": Method(profile.delete_my_commands),
    "setchatmenubutton": Method(menu.set_chat_menu_button),
    "getchatmenubutton": Method(menu.get_chat_menu_button),
    "setmydescription": Method(profile.set_my_description),
    "setmyshortdescription": Method(profile.set_my_short_description),
    "getchat": Method(profile.get_chat),
    "getchatmember": Method(profile.get_chat_member),
}


async def call_method(api: Api, limiter: Limiter, name: str, params: Params) -> Any:
    """Run one method and return its ``result``; names are case-insensitive, as on Telegram.

    Raises:
        ApiError: whatever Telegram would answer instead of a result.
    """
    method = METHODS.get(name.lower())
    if method is None:
        raise ApiError(404, "Not Found")
    if api.logged_out:
        raise ApiError(400, "Logged out")
    chat_id = params.chat_id()
    if method.cost is not None and chat_id in api.world.chats:
        limiter.spend(chat_id, method.cost(params), api.world.now())
    result = method.handler(api, params)
    return await result if inspect.isawaitable(result) else result
