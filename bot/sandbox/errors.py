"""What the sandbox refuses, in Telegram's own words.

The texts are those of the Bot API server (tdlib/telegram-bot-api, ``Client.cpp``) and of TDLib
behind it;
a bot that matches on them meets the same strings here as in production.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Text(StrEnum):
    """Descriptions of ``400 Bad Request`` answers, without that prefix."""

    CHAT_ID_EMPTY = "chat_id is empty"
    CHAT_NOT_FOUND = "chat not found"
    TEXT_EMPTY = "message text is empty"
    TEXT_BLANK = "text must be non-empty"
    TEXT_TOO_LONG = "message is too long"
    EDIT_TOO_LONG = "MESSAGE_TOO_LONG"
    CAPTION_TOO_LONG = "message caption is too long"
    NOT_MODIFIED = (
        "message is not modified: specified new message content and reply markup are exactly "
        "the same as a current content and reply markup of the message"
    )
    EDIT_NOT_FOUND = "message to edit not found"
    CANT_EDIT = "message can't be edited"
    NO_TEXT = "there is no text in the message to edit"
    NO_CAPTION = "there is no caption in the message to edit"
    REPLY_NOT_FOUND = "message to be replied not found"
    QUOTE_INVALID = "QUOTE_TEXT_INVALID"
    THREAD_NOT_FOUND = "message thread not found"
    DELETE_NOT_FOUND = "message to delete not found"
    DELETE_TOO_OLD = "message can't be deleted for everyone"
    CANT_DELETE = "message can't be deleted"
    PIN_NOT_FOUND = "message to pin not found"
    REACT_NOT_FOUND = "message to react not found"
    REACTION_INVALID = "REACTION_INVALID"
    REACTIONS_TOO_MANY = "REACTIONS_TOO_MANY"
    NO_MESSAGE_ID = "message identifier is not specified"
    BUTTON_DATA = "BUTTON_DATA_INVALID"
    BUTTON_TYPE = "BUTTON_TYPE_INVALID"
    BUTTON_WITHOUT_ACTION = (
        "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
    )
    BUTTON_WITHOUT_TEXT = 'can\'t parse inline keyboard button: Field "text" must be non-empty'
    MARKUP_TOO_LONG = "reply markup is too long"
    MARKUP_NOT_JSON = "can't parse reply keyboard markup JSON object"
    QUERY_TOO_OLD = "query is too old and response timeout expired or query ID is invalid"
    URL_INVALID = "URL_INVALID"
    FILE_TOO_BIG = "file is too big"
    FILE_UNAVAILABLE = "wrong file_id or the file is temporarily unavailable"
    FILE_WRONG = "wrong file identifier/HTTP URL specified"
    FILE_PROTOCOL = "invalid file HTTP URL specified: Unsupported URL protocol"
    FILE_EMPTY = "file must be non-empty"
    URL_NOT_FETCHED = "failed to get HTTP URL content"
    IMAGE_INVALID = "IMAGE_PROCESS_FAILED"
    PHOTO_DIMENSIONS = "PHOTO_INVALID_DIMENSIONS"
    ALBUM_TOO_SMALL = "too few messages to send as an album"
    ALBUM_TOO_BIG = "too many messages to send as an album"
    ALBUM_MIXED = "document can't be mixed with other media types"
    PARSE_MODE = "unsupported parse_mode"
    EFFECT_NOT_HERE = "can't use message effects in the chat"
    EFFECT_INVALID = "EFFECT_ID_INVALID"
    MENU_BUTTON_TYPE = "MenuButton has unsupported type"
    MENU_BUTTON_TEXT = "menu button text must be non-empty"
    COMMAND_INVALID = "BOT_COMMAND_INVALID"
    COMMAND_DESCRIPTION = "BOT_COMMAND_DESCRIPTION_INVALID"
    COMMANDS_TOO_MANY = "BOT_COMMANDS_TOO_MUCH"
    ACTION_WRONG = "wrong parameter action in request"
    MEMBER_NOT_FOUND = "PARTICIPANT_ID_INVALID"
    INLINE_MESSAGE = "MESSAGE_ID_INVALID"
    BUSINESS = "business connection not found"


class ApiError(Exception):
    """An answer with ``ok: false``; ``retry_after`` is in whole seconds."""

    def __init__(self, code: int, description: str, *, retry_after: int | None = None) -> None:
        super().__init__(f"{code} {description}")
        self.code = code
        self.description = description
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "ok": False,
            "error_code": self.code,
            "description": self.description,
        }
        if self.retry_after is not None:
            answer["parameters"] = {"retry_after": self.retry_after}
        return answer


class RefusedError(Exception):
    """A person tried something that no Telegram app would let them do."""


def bad_request(text: str) -> ApiError:
    return ApiError(400, f"Bad Request: {text}")


def forbidden(text: str) -> ApiError:
    return ApiError(403, f"Forbidden: {text}")


def too_many_requests(retry_after: int) -> ApiError:
    text = f"Too Many Requests: retry after {retry_after}"
    return ApiError(429, text, retry_after=retry_after)
