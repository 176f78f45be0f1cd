"""The only SQL of the project: one database, a part of it for each subject.

Everything here is synchronous and quick. A move that touches several rows is wrapped by its
caller in :meth:`Store.transaction`.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from controller.errors import DatabaseDamaged
from controller.store.alarms import Alarms
from controller.store.attempts import Attempts
from controller.store.batches import Batches
from controller.store.chats import Cards, Events, Inbox, Preferences
from controller.store.claims import Claims
from controller.store.database import Database
from controller.store.figures import Figures
from controller.store.jobs import Jobs
from controller.store.listings import Listings
from controller.store.machines import Bans, Machines, Speeds
from controller.store.ownership import Ownership
from controller.store.people import Invites, Members, Switches
from controller.store.spending import Spending
from controller.store.web import Links, Uploads

__all__ = ["Store", "new_deployment"]


class Store:
    """All tables behind one connection."""

    def __init__(self, path: Path, *, clock: Callable[[], float], back_up: bool = True) -> None:
        self._db = Database(path, clock=clock, back_up=back_up)
        self.jobs = Jobs(self._db)
        self.attempts = Attempts(self._db)
        self.claims = Claims(self._db)
        self.listings = Listings(self._db)
        self.machines = Machines(self._db)
        self.speeds = Speeds(self._db)
        self.bans = Bans(self._db)
        self.events = Events(self._db)
        self.inbox = Inbox(self._db)
        self.cards = Cards(self._db)
        self.preferences = Preferences(self._db)
        self.members = Members(self._db)
        self.invites = Invites(self._db)
        self.switches = Switches(self._db)
        self.spending = Spending(self._db)
        self.uploads = Uploads(self._db)
        self.links = Links(self._db)
        self.figures = Figures(self._db)
        self.batches = Batches(self._db)
        self.alarms = Alarms(self._db)
        self.ownership = Ownership(self._db)

    def transaction(self) -> AbstractContextManager[None]:
        return self._db.transaction()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every commit of this process."""
        self._db.listeners.append(listener)

    @property
    def damage(self) -> DatabaseDamaged | None:
        """Set once a statement has found the file damaged; every later one raises it again."""
        return self._db.damage

    def declare_damaged(self, detail: str) -> None:
        """The file was found damaged by something else than a statement."""
        self._db.declare_damaged(detail)

    @property
    def is_replaced(self) -> bool:
        """Whether another process has put another file in the place of the one that is open."""
        return self._db.is_replaced

    def declare_replaced(self) -> None:
        """From here on every statement raises :class:`~controller.errors.DatabaseReplaced`."""
        self._db.declare_replaced()

    def on_damage(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` as soon as the file is found damaged."""
        self._db.on_damage.append(listener)

    @property
    def deployment(self) -> str:
        """Eight characters that tell this database's machines from everybody else's."""
        return self.claim("deployment", new_deployment())

    def claim(self, name: str, value: str) -> str:
        """Write a value down once; whoever comes later gets the first one's."""
        with self._db.transaction():
            row = self._db.row("SELECT value FROM meta WHERE name = :name", name=name)
            if row:
                return str(row["value"])
            self._db.run("INSERT INTO meta VALUES (:name, :value)", name=name, value=value)
        return value

    def recall(self, name: str) -> str | None:
        """What was noted under a name, if anything was."""
        row = self._db.row("SELECT value FROM meta WHERE name = :name", name=name)
        return str(row["value"]) if row else None

    def note(self, name: str, value: str) -> None:
        """Remember something of the whole deployment, in the place of what was noted before."""
        with self._db.transaction():
            self._db.run(
                """INSERT INTO meta VALUES (:name, :value)
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value""",
                name=name, value=value,
            )  # fmt: skip

    def close(self) -> None:
        self._db.close()


def new_deployment() -> str:
    """A name that no other database has."""
    alphabet = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(8))
