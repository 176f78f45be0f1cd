"""Promise 9: what leaves the program is looked at as it leaves, whatever becomes of it later."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from bot.sandbox.chats import Message
from controller.labels import Label
from controller.log_ids import IdFilter
from controller.redaction import JsonFormatter, RedactingFormatter
from tests.simulation.addresses import find_strange, list_addresses
from tests.simulation.outside.account import KEY_MARK

_FORM = "%(levelname)s %(name)s: %(message)s"
#: A signature that was not blackened.
_SIGNED = re.compile(rb"X-Amz-Signature=(?!\*\*\*)")
_OWNER = "SELECT chat FROM jobs WHERE id = ? OR output_key = ?"


class Leaks:
    """Notes each place in which a secret was, or an address that is not for it: objects, messages
    and edits, scripts of machines, the webhook, log lines and the database."""

    def __init__(self, world, secrets: tuple[str, ...]) -> None:
        self._world = world
        self._secrets = [each.encode() for each in (*secrets, KEY_MARK)]
        shown = world.telegram.on_shown

        def look_at_message(message: Message) -> None:
            self._look_at_message(message)
            shown(message)

        world.telegram.on_shown = look_at_message
        world.objects.on_store = self._look_at_object
        world.vast.on_rent = self._look_at_script
        world.deployment.on_told = lambda body: self.look("what the webhook was told", body)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the context is open each line of the log is looked at as it would be written."""
        root, handler = logging.getLogger(), _Reader(self)
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.setLevel(level)
            root.removeHandler(handler)

    def look(self, place: str, data: bytes) -> None:
        """For secrets alone."""
        if any(secret in data for secret in self._secrets):
            self._world.invariants.note(9, f"a secret is in {place}")

    def look_at_line(self, line: str) -> None:
        """One of the log, in which no signature may be either."""
        data = line.encode()
        self.look("a log", data)
        if _SIGNED.search(data):
            self._world.invariants.note(9, "a signed address is in a log")

    def look_at_database(self) -> None:
        """All that its rows say."""
        world = self._world
        for table in world.rows("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            for row in world.rows(f'SELECT * FROM "{table["name"]}"'):
                text = "\n".join(str(each) for each in row.values() if isinstance(each, str))
                self.look(f"the table {table['name']}", text.encode())

    def _look_at_message(self, message: Message) -> None:
        # not escaped, as people see it
        data = json.dumps(message.raw, ensure_ascii=False).encode()
        self.look("a message", data)
        for each in self._find_addresses("a message", data):
            self._check_owner(each.partition(" ")[2], message.raw["chat"]["id"])

    def _look_at_object(self, key: str, data: bytes) -> None:
        self.look(f"an object at {_name(key)}", data)
        self._find_addresses(key, data)

    def _look_at_script(self, instance) -> None:
        label = Label.parse(instance.label)
        data = json.dumps(instance.body).encode()
        self.look("a machine", data)
        if label is not None:
            self._find_addresses(f"machines/{label.machine}/first", data)

    def _find_addresses(self, place: str, data: bytes) -> list[str]:
        found = list_addresses(data)
        for each in find_strange(place, found) if found else ():
            self._world.invariants.note(9, f"{place} has an address to {each}")
        return found

    def _check_owner(self, key: str, chat: int) -> None:
        """Links to a video are in the chat that asked for it alone."""
        parts = key.split("/")
        job = parts[1] if parts[0] == "jobs" else ""
        chats = {row["chat"] for row in self._world.rows(_OWNER, job, key)}
        is_lost = not chats and self._world.computer.replaced
        if chat not in chats and not is_lost:
            self._world.invariants.note(9, f"chat {chat} was shown {key}")


class _Reader(logging.Handler):
    """What the program writes to its log, filtered and blackened as it would be."""

    def __init__(self, leaks: Leaks) -> None:
        super().__init__(logging.INFO)
        self._leaks = leaks
        self.addFilter(IdFilter())
        world = leaks._world
        secrets = world.settings.secrets
        self.setFormatter(
            JsonFormatter(secrets) if world.plan.seed % 2 else RedactingFormatter(secrets, _FORM)
        )

    def emit(self, record: logging.LogRecord) -> None:
        self._leaks.look_at_line(self.format(record))


def _name(key: str) -> str:
    """Without what differs from job to job."""
    parts = key.split("/")
    return f"{parts[0]}/…/{parts[-1]}"
