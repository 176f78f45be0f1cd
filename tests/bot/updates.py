"""Updates as no test would write them by hand: for property tests of everything that handles."""

import string
from functools import partial

from aiogram.filters.callback_data import CallbackData
from hypothesis import strategies as st

from bot.cards import admin_callbacks, callbacks
from tests.bot.stage import ADMIN, OTHER, STRANGER, USER, VIDEO_SIZE

__all__ = ["admin_callbacks", "callbacks", "resolve", "updates"]

GROUP = -1001
PEOPLE = (USER, OTHER, ADMIN, STRANGER)
COMMANDS = (
    "start", "help", "status", "cancel", "batch", "settings", "machines", "spend", "users",
    "queue", "drain", "logs", "health", "upscale", "smooth", "both", "x4", "no_such_command",
)  # fmt: skip
HOSTILE = (
    "<b>evil</b> & \"x\".mp4", "\u202egpj.4pm", "a" * 4000, "..", "../../etc/passwd", "\x00", "",
    "👨‍👩‍👧‍👦.mkv",
    "%s %(x)s {name} { $name }", "b2://", "b2://bucket/", "input/", "input/../x.mp4",
    "\ue0000\ue001", "’ or 1=1 --", "/", "https://t.me/x?start=inv_x",
)  # fmt: skip
ENTITIES = (
    "bot_command", "url", "text_link", "mention", "text_mention", "date_time", "custom_emoji",
    "expandable_blockquote", "of_the_future",
)  # fmt: skip

#: What stands before the first colon of the data of any button, and what fields may hold.
PREFIXES = tuple(sorted(kind.__prefix__ for kind in CallbackData.__subclasses__()))
FIELDS = (
    "", "0", "1", "-1", "99", "2147483648", "9" * 30, "1e3", "0.5", "-", "~", "start", "yes", "ok",
    "deny", "retry", "sample", "show", "s", "l", "b", "x2", "card", "list", "A" * 26,
    "~" + "0" * 26, "7", "666", "None", "true", "é", "٣", "\ud800", "\x00", "%s",
)  # fmt: skip


def flip(data, at, bit):
    """One bit of one character the other way."""
    at %= max(1, len(data))
    return data[:at] + "".join(chr(ord(each) ^ bit) for each in data[at : at + 1]) + data[at + 1 :]


def refill(data, at, field):
    """Another field in the place of one."""
    fields = data.split(":")
    fields[at % len(fields)] = field
    return ":".join(fields)


#: Data of a real button as it is, cut off, longer, or with other characters or fields in it.
BENDS = (
    *([str] * 8), lambda data: data[:-1], lambda data: data[: len(data) // 2],
    lambda data: f"{data}:x", str.swapcase, lambda data: data.replace(":", "::", 1),
    lambda data: f"{data[:-3]}999",
    *(partial(flip, at=at, bit=1 << at % 7) for at in range(-4, 12)),
    *(partial(refill, at=at % 3 + 1, field=field) for at, field in enumerate(FIELDS)),
)  # fmt: skip

words = st.sampled_from(HOSTILE) | st.text(max_size=60)
ids = st.sampled_from(PEOPLE)
numbers = st.integers(-3, 5000)


def resolve(body, known):
    """An update in which a press of "the n-th button there is" carries that button's data."""
    press = body.get("callback_query") or {}
    if isinstance(wanted := press.get("data"), tuple):
        number, bend = wanted
        data = BENDS[bend](known[number % len(known)]) if known else "x"
        return {"callback_query": press | {"data": data}}
    return body


@st.composite
def updates(draw):
    """One update without its id, to be given to :func:`resolve`."""
    kind = draw(st.sampled_from(("message",) * 6 + ("callback_query",) * 4 + ("other",)))
    if kind == "callback_query":
        return {kind: draw(_presses())}
    if kind == "message":
        return {kind: draw(_messages())}
    return draw(_others())


@st.composite
def _messages(draw, depth=1):
    user = draw(ids)
    message = {
        "message_id": draw(st.integers(1, 10**6)), "date": draw(st.integers(0, 2**31 - 1)),
        "chat": draw(_chats(user)),
    }  # fmt: skip
    if _usually(draw):
        message["from"] = draw(_people(user))
    if not _usually(draw):
        message["sender_chat"] = draw(_chats(user))
    message |= draw(_contents())
    if depth and not draw(st.integers(0, 3)):
        message["reply_to_message"] = draw(_messages(depth=0))
    if not draw(st.integers(0, 5)):
        message["media_group_id"] = draw(st.sampled_from(("1", "2", "album")))
    if not draw(st.integers(0, 6)):
        message["forward_origin"] = {"type": "hidden_user", "date": 1, "sender_user_name": "x"}
    return message


@st.composite
def _contents(draw):
    match draw(st.integers(0, 9)):
        case 0 | 1 | 2:
            return _texts("text", "entities", draw(_lines()), draw(_entities()))
        case 3 | 4 | 5:
            caption = _texts("caption", "caption_entities", draw(_lines()), draw(_entities()))
            kind = draw(st.sampled_from(("video", "document", "animation", "video_note")))
            return {kind: draw(_files(kind)), **caption}
        case 6:
            file = {"file_id": "p", "file_unique_id": "u", "width": 1, "height": 1}
            return {"photo": [file] if draw(st.booleans()) else []}
        case 7:
            audio = {"file_id": "a", "file_unique_id": "u", "duration": 1}
            return {draw(st.sampled_from(("audio", "voice"))): audio}
        case 8:
            return {"location": {"latitude": 1.0, "longitude": 2.0}}
    return {}


@st.composite
def _files(draw, kind):
    file = {"file_id": draw(words) or "f", "file_unique_id": "u"}
    if kind == "video_note":
        file |= {"length": draw(numbers), "duration": draw(numbers)}
    elif kind != "document":
        file |= {"width": draw(numbers), "height": draw(numbers), "duration": draw(numbers)}
    if draw(st.booleans()):
        file["file_size"] = draw(st.sampled_from((VIDEO_SIZE, 0, 1, 30_000_000, 2**40)))
    if draw(st.booleans()) and kind != "video_note":
        file["file_name"] = draw(words)
        file["mime_type"] = draw(st.sampled_from(("video/mp4", "text/plain", "", "VIDEO/x")))
    return file


@st.composite
def _lines(draw):
    command = draw(st.sampled_from(COMMANDS))
    name = draw(st.sampled_from(("", "@noxfvr_bot", "@other_bot")))
    start = f"/{command}{name} " if draw(st.booleans()) else ""
    return start + draw(words)


@st.composite
def _entities(draw):
    if draw(st.booleans()):
        return None
    return [
        {"type": draw(st.sampled_from(ENTITIES)), "offset": draw(numbers), "length": draw(numbers)}
        for _ in range(draw(st.integers(0, 3)))
    ]


@st.composite
def _presses(draw):
    user = draw(ids)
    press = {"id": str(draw(st.integers(1, 10**9))), "from": draw(_people(user)),
             "chat_instance": "x"}  # fmt: skip
    forged = st.text(alphabet=string.printable, max_size=64)
    by_grammar = st.builds(
        lambda prefix, fields: ":".join((prefix, *fields))[:64],
        st.sampled_from(PREFIXES), st.lists(st.sampled_from(FIELDS), max_size=5),
    )  # fmt: skip
    of_a_button = st.tuples(st.integers(0, 999), st.integers(0, len(BENDS) - 1))
    if _usually(draw):
        press["data"] = draw(forged | by_grammar | of_a_button | of_a_button)
    match draw(st.integers(0, 4)):
        case 0:
            press["inline_message_id"] = "x"
        case 1:
            press["message"] = {"message_id": 5, "date": 0, "chat": draw(_chats(user))}
        case _:
            press["message"] = {
                "message_id": draw(st.integers(1, 2000)), "date": 1, "chat": draw(_chats(user)),
                "from": {"id": 42, "is_bot": True, "first_name": "bot"}, "text": "card",
            }  # fmt: skip
    return press


@st.composite
def _people(draw, user):
    person = {"id": user, "is_bot": not _usually(draw), "first_name": draw(words) or "x"}
    if draw(st.booleans()):
        person["language_code"] = draw(st.sampled_from(("ru", "en", "pt-BR", "", "xx", "uk")))
    return person


@st.composite
def _chats(draw, user):
    if draw(st.integers(0, 3)):
        return {"id": user, "type": "private"}
    kind = draw(st.sampled_from(("group", "supergroup", "channel")))
    return {"id": GROUP, "type": kind, "title": draw(words)}


@st.composite
def _others(draw):
    message = draw(_messages())
    member = {"user": {"id": 42, "is_bot": True, "first_name": "b"}, "status": "member"}
    changed = {"chat": message["chat"], "from": draw(_people(USER)), "date": 1,
               "old_chat_member": member, "new_chat_member": member}  # fmt: skip
    return draw(
        st.sampled_from((
            {"edited_message": message}, {"channel_post": message}, {"my_chat_member": changed},
            {"message": {"message_id": 1}}, {"of_the_future": {"x": 1}}, {"message": None}, {},
        ))
    )  # fmt: skip


def _usually(draw):
    """True nine times of ten, whatever is simplest to generate."""
    return draw(st.sampled_from((True,) * 9 + (False,)))


def _texts(key, entities_key, text, entities):
    content = {key: text} if text else {}
    return {**content, entities_key: entities} if entities is not None else content
