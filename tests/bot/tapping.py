"""Taps every button that is on screen: as a stranger, as another user, and as whoever may.

Each tap starts from the same rows, files and screen, so that every button is met as it was drawn.
"""

import asyncio
import logging
import types
from enum import StrEnum
from typing import Union, get_args, get_origin, get_type_hints

from aiogram.filters.callback_data import CallbackData

from bot.cards import admin_callbacks, callbacks
from tests.bot.stage import ADMIN, OTHER, STRANGER, USER

#: What is the house's; the rest are a person's own notes, and what cards show.
SHARED = (
    "jobs", "attempts", "machines", "batches", "members", "invites", "switches", "links",
    "uploads", "events",
)  # fmt: skip
PRESSES = {
    press.__prefix__: press
    for module in (callbacks, admin_callbacks)
    for press in vars(module).values()
    if isinstance(press, type) and issubclass(press, CallbackData) and press is not CallbackData
}
#: About the presser's own settings; nobody else's are touched, whoever presses.
_OWN = (callbacks.PagePress, callbacks.OptionPress, callbacks.PathPress,
        admin_callbacks.LanguagePress, admin_callbacks.SettingsPress)  # fmt: skip
#: Their values are no words of a few, and each is a choice of its own.
_CHOICES = {"o", "p", "bt:act=preset", "us:act=d"}
_DEAD = ("toast-stale", "toast-old-page", "crashed")


class Errors(logging.Handler):
    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


class Tapper:
    def __init__(self, stage) -> None:
        self.stage = stage
        self.session = stage.session
        self.seen: set[str] = set()
        self._met = set()
        tongue = stage.dispatcher["texts"]["ru"]
        self._dead = {tongue(key) for key in _DEAD}

    async def settle(self) -> None:
        """Until the cards show what there is."""
        async with self.stage.showing():
            count = -1
            while count != len(self.session.calls):
                count = len(self.session.calls)
                await asyncio.sleep(0.03)

    async def look(self, *, admin=False) -> None:
        """Tap all that is on screen now; ``admin``: an admin taps in the chats of others too."""
        await self.settle()
        for place, method in list(self.session.screen.items()):
            for button in choose(list_buttons(method)):
                met = place, button.callback_data, button.text, get_text(method), admin
                if met not in self._met:
                    self._met.add(met)
                    await self._tap_thrice(place, button, ADMIN if admin else None)

    async def press(self, wanted: str, chat=USER) -> None:
        """Press the newest button of this data, or that ``describe`` calls so, as its owner."""
        await self._press(
            lambda each: wanted in {each.callback_data, *describe(each.callback_data)}, chat
        )

    async def press_labelled(self, label: str, chat=USER) -> None:
        """Press the newest button whose label has this in it, as its owner."""
        await self._press(lambda each: label in each.text, chat)

    async def _press(self, is_wanted, chat) -> None:
        for place, method in reversed(list(self.session.screen.items())):
            found = [each for each in list_buttons(method) if is_wanted(each)]
            if place[0] == chat and found:
                await self._feed(place, found[0].callback_data, find_owner(chat))
                await self.settle()
                return
        raise AssertionError(f"no such button in {chat}")

    async def _tap_thrice(self, place, button, admin) -> None:
        data = button.callback_data
        names = describe(data)
        self.seen |= names
        told = f"{button.text!r} ({data}) in {place}"
        kept = self._keep()

        # in private, somebody else can only send made-up data from the own chat
        calls, _ = await self._feed(move(place, STRANGER), data, STRANGER)
        assert not calls, f"a stranger got an answer: {told}"
        assert self._rows() == kept.rows, f"a stranger changed something: {told}"

        calls, toast = await self._feed(move(place, OTHER), data, OTHER)
        press = PRESSES[data.partition(":")[0]]
        pages = "gr:act=None" in names or ("st" in names and place[0] < 0)
        assert toast is not None, f"another user got no answer: {told}"
        assert self._rows(SHARED) == kept.shared, f"another user changed something: {told}"
        is_own = (
            press in _OWN and getattr(PRESSES[press.__prefix__].unpack(data), "job", "-") == "-"
        )
        assert toast or pages or is_own, f"another user was not told: {told}"
        if not pages and not is_own and press is not admin_callbacks.StatusPress:
            assert len(calls) == 1, f"another user saw more than a notice: {told}"
        self._put_back(kept)

        calls, toast = await self._feed(place, data, admin or find_owner(place[0]))
        assert toast is not None, f"no answer: {told}"
        assert toast not in self._dead, f"dead on a fresh screen: {told}"
        chosen = button.text.startswith("✓") or "/" in button.text
        did = len(calls) > 1 or self._rows() != kept.rows
        assert did or toast or chosen, f"nothing happened and nothing was said: {told}"
        self._put_back(kept)

    async def _feed(self, place, data, user):
        """The calls that a press made, and the toast: None for no answer."""
        chat, number = place
        before = len(self.session.calls)
        raw = self.stage.press(data, user, message=number, chat=chat)
        under = raw["callback_query"]["message"]
        under["chat"]["type"] = "supergroup" if chat < 0 else "private"
        owner = {"id": find_owner(chat), "is_bot": False, "first_name": "A"}
        under["reply_to_message"] = {**under, "message_id": 1, "from": owner}
        await self.stage.feed(raw)
        calls = self.session.calls[before:]
        answers = [each for each in calls if each.__api_method__ == "answerCallbackQuery"]
        assert len(answers) <= 1, f"answered {len(answers)} times: {data}"
        return calls, (answers[0].text or "") if answers else None

    def _keep(self):
        root = self.stage.house.settings.storage_dir
        files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return types.SimpleNamespace(
            rows=self._rows(), shared=self._rows(SHARED), files=files,
            screen=dict(self.session.screen),
        )  # fmt: skip

    def _rows(self, tables=None):
        db = self.stage.house.store._db
        if tables is None:
            query = "SELECT name FROM sqlite_master WHERE type = 'table'"
            tables = [row["name"] for row in db.rows(query)]
        return {name: [tuple(row.values()) for row in db.rows(f"SELECT * FROM {name}")]
                for name in tables}  # fmt: skip

    def _put_back(self, kept) -> None:
        self.session.screen = dict(kept.screen)
        for path, content in kept.files.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        now = self._rows()
        changed = [name for name, rows in kept.rows.items() if rows != now[name]]
        database = self.stage.house.store._db
        with database.transaction():
            database._db.execute("PRAGMA defer_foreign_keys = ON")
            for name in changed:
                database._db.execute(f"DELETE FROM {name}")
            for name in changed:
                for row in kept.rows[name]:
                    marks = ", ".join("?" * len(row))
                    database._db.execute(f"INSERT INTO {name} VALUES ({marks})", row)


def list_buttons(method):
    markup = getattr(method, "reply_markup", None)
    rows = getattr(markup, "inline_keyboard", None) or ()
    return [each for row in rows for each in row if each.callback_data]


def choose(buttons):
    """All but those between the first and the last of many that differ in the job alone."""
    kinds = {}
    for button in buttons:
        names = frozenset(describe(button.callback_data))
        kinds.setdefault(button.callback_data if names & _CHOICES else names, []).append(button)
    return [each for same in kinds.values() for each in same[:1] + same[1:][-1:]]


def get_text(method) -> str:
    media = getattr(method, "media", None)
    return getattr(method, "text", None) or getattr(media or method, "caption", None) or ""


def move(place, user):
    return place if place[0] < 0 else (user, place[1])


def find_owner(chat: int) -> int:
    return chat if chat > 0 else USER


def describe(data: str) -> set[str]:
    """``prefix`` and ``prefix:field=value`` for each field that is one of a few words."""
    prefix = data.partition(":")[0]
    press = PRESSES[prefix].unpack(data)
    fields = {name: getattr(press, name) for name in _list_words(type(press))}
    return {prefix, *(f"{prefix}:{name}={value}" for name, value in fields.items())}


def list_all() -> set[str]:
    """What :func:`describe` can say of all there is."""
    found = set(PRESSES)
    for prefix, press in PRESSES.items():
        for name, values in _list_words(press).items():
            found |= {f"{prefix}:{name}={value}" for value in values}
    return found


def _list_words(press) -> dict[str, list]:
    words = {}
    for name, hint in get_type_hints(press).items():
        union = get_origin(hint) in (Union, types.UnionType)
        options = get_args(hint) if union else (hint,)
        kinds = [each for each in options if isinstance(each, type) and issubclass(each, StrEnum)]
        if kinds:
            words[name] = [*kinds[0], *([None] if type(None) in options else [])]
    return words
