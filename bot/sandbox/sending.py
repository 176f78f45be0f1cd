"""Methods that put new messages into a chat."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bot.sandbox.api import Api, chat_to_write, post, read_caption, read_preview, read_text
from bot.sandbox.chats import Json
from bot.sandbox.errors import Text, bad_request
from bot.sandbox.files import FileKind, StoredFile, is_mp4
from bot.sandbox.params import ATTACH, Params, Upload

MEDIA_KINDS = {"video": FileKind.VIDEO, "document": FileKind.DOCUMENT, "photo": FileKind.PHOTO}
CHAT_ACTIONS = frozenset(
    {"typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice"}
    | {"upload_document", "choose_sticker", "find_location", "record_video_note"}
    | {"upload_video_note"}
)


def send_message(api: Api, params: Params) -> Json:
    chat = chat_to_write(api, params)
    text = read_text(params)
    return post(api, chat, params, text.to_json("text", "entities") | read_preview(params))


def send_video(api: Api, params: Params) -> Json:
    return _send_media(api, params, FileKind.VIDEO)


def send_document(api: Api, params: Params) -> Json:
    return _send_media(api, params, FileKind.DOCUMENT)


def send_photo(api: Api, params: Params) -> Json:
    return _send_media(api, params, FileKind.PHOTO)


def send_media_group(api: Api, params: Params) -> list[Json]:
    """2-10 messages that share a ``media_group_id``; documents only among themselves."""
    chat = chat_to_write(api, params)
    items = params.array("media") or []
    if len(items) < 2:
        raise bad_request(Text.ALBUM_TOO_SMALL)
    if len(items) > 10:
        raise bad_request(Text.ALBUM_TOO_BIG)
    kinds = {item.get("type") if isinstance(item, dict) else None for item in items}
    if "document" in kinds and len(kinds) > 1:
        raise bad_request(Text.ALBUM_MIXED)
    contents = [read_media(api, params, item) for item in items]
    group: Json = {"media_group_id": str(secrets.randbits(53))}
    return [post(api, chat, params, {**content, **group}) for content in contents]


def send_chat_action(api: Api, params: Params) -> bool:
    chat = chat_to_write(api, params)
    action = params.text("action")
    if action not in CHAT_ACTIONS:
        raise bad_request(Text.ACTION_WRONG)
    api.world.record("action", chat.id, api.world.bot, action=action)
    return True


def read_media(api: Api, params: Params, item: Any) -> Json:
    """Message content from an ``InputMedia`` object, whose files are parts of the call.

    Raises:
        ApiError: an unknown type, or a file that cannot be had.
    """
    if not isinstance(item, dict) or item.get("type") not in MEDIA_KINDS:
        raise bad_request("can't parse InputMedia: wrong InputMedia type specified")
    return _media_content(
        api, Params(item, params.uploads), MEDIA_KINDS[item["type"]], item.get("media")
    )


def _send_media(api: Api, params: Params, kind: FileKind) -> Json:
    chat = chat_to_write(api, params)
    own_part = f"{ATTACH}{kind}" if str(kind) in params.uploads else None
    content = _media_content(api, params, kind, params.text(str(kind)) or own_part)
    return post(api, chat, params, content)


def _media_content(api: Api, fields: Params, kind: FileKind, reference: Any) -> Json:
    caption = read_caption(fields)
    file = _resolve(api, fields, kind, str(reference or ""))
    content = caption.to_json("caption", "caption_entities")
    if fields.boolean("show_caption_above_media") and caption.text:
        content["show_caption_above_media"] = True
    if kind is not FileKind.DOCUMENT and fields.boolean("has_spoiler"):
        content["has_media_spoiler"] = True
    described = file.to_json()
    return {str(file.kind): [described] if file.kind is FileKind.PHOTO else described, **content}


def _resolve(api: Api, fields: Params, kind: FileKind, reference: str) -> StoredFile:
    """The file of a new message: a known id, a part of the call, or a path in local mode."""
    if not reference:
        raise bad_request(f"there is no {kind} in the request")
    known = api.files.get(reference)
    if known is not None:
        _check_kind(known, kind)
        return known
    upload = _find_upload(api, fields, reference)
    # Telegram shows as a video only what it can play; the rest arrives as a document.
    stored_as = kind
    if kind is FileKind.VIDEO and not is_mp4(upload.path):
        stored_as = FileKind.DOCUMENT
    width, height = fields.integer("width"), fields.integer("height")
    return api.files.adopt(
        upload,
        stored_as,
        dimensions=(width, height) if width and height else None,
        duration_s=fields.integer("duration"),
        thumbnail=_read_thumbnail(api, fields),
    )


def _check_kind(known: StoredFile, wanted: FileKind) -> None:
    if known.kind is not wanted:
        raise bad_request(
            f"can't use file of type {known.kind.capitalize()} as {wanted.capitalize()}"
        )


def _find_upload(api: Api, fields: Params, reference: str) -> Upload:
    if reference.startswith(ATTACH):
        upload = fields.upload(reference)
        if upload is None:
            raise bad_request(f"there is no {reference.removeprefix(ATTACH)} in the request")
        return upload
    scheme = urlsplit(reference).scheme
    if scheme == "file":
        if not api.rules.local_files:
            raise bad_request(Text.FILE_PROTOCOL)
        return api.files.import_path(Path(unquote(urlsplit(reference).path)))
    raise bad_request(Text.URL_NOT_FETCHED if scheme in {"http", "https"} else Text.FILE_WRONG)


def _read_thumbnail(api: Api, fields: Params) -> StoredFile | None:
    reference = fields.text("thumbnail") or (
        f"{ATTACH}thumbnail" if "thumbnail" in fields.uploads else None
    )
    # Thumbnails cannot be reused: anything but an upload is ignored
    # (core.telegram.org/bots/api#sendvideo).
    upload = fields.upload(reference) if reference else None
    return None if upload is None else api.files.adopt(upload, FileKind.THUMBNAIL)
