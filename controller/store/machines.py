"""Machines, money and learned speeds in SQL."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from controller.records import Machine
from controller.states import MACHINE_MOVES, MachineState
from controller.store.database import Database

NOT_GONE = tuple(state for state in MachineState if state is not MachineState.GONE)


class Machines:
    """Reads and moves machines."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, machine: Machine) -> None:
        """Write before you pay: the row and its reservation, in the caller's transaction."""
        columns = (
            "id", "label", "provider", "state", "name", "usd_per_hour", "reserved_usd",
            "created_at", "expires_at",
        )  # fmt: skip
        self._db.run(
            f"""INSERT INTO machines ({", ".join(columns)})
                VALUES ({", ".join(f":{name}" for name in columns)})""",
            **{name: getattr(machine, name) for name in columns},
        )

    def get(self, machine_id: str) -> Machine | None:
        row = self._db.row("SELECT * FROM machines WHERE id = :id", id=machine_id)
        return Machine.from_row(row) if row else None

    def select(self, states: Collection[MachineState] = NOT_GONE) -> list[Machine]:
        rows = self._db.rows(
            """SELECT * FROM machines WHERE state IN (SELECT value FROM json_each(:states))
               ORDER BY created_at, id""",
            states=json.dumps(list(states)),
        )
        return [Machine.from_row(row) for row in rows]

    def move(self, machine: Machine, to: MachineState, **columns: Any) -> Machine | None:
        """Move a machine as it was read; None when somebody was faster: look again."""
        if to not in MACHINE_MOVES[machine.state]:
            raise ValueError(f"a machine never moves from {machine.state} to {to}")
        return self.change(machine, state=to, **columns)

    def change(self, machine: Machine, **columns: Any) -> Machine | None:
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        with self._db.transaction():
            row = self._db.row(
                f"""UPDATE machines SET {assignments}, version = version + 1
                    WHERE id = :_id AND state = :_state AND version = :_version RETURNING *""",
                **columns, _id=machine.id, _state=machine.state, _version=machine.version,
            )  # fmt: skip
        return Machine.from_row(row) if row else None

    def request_retire(self, machine_id: str, reason: str) -> None:
        """Ask for its end; the first reason stays."""
        with self._db.transaction():
            self._db.run(
                """UPDATE machines SET retire_requested_at = :now, retire_reason = :reason,
                          version = version + 1
                   WHERE id = :id AND retire_requested_at IS NULL AND state != 'gone'""",
                now=self._db.clock(), reason=reason, id=machine_id,
            )  # fmt: skip

    def next_orders(self, machine_id: str) -> int:
        """The sequence number for the next orders of this machine."""
        with self._db.transaction():
            row = self._db.one(
                """UPDATE machines SET orders_sequence = orders_sequence + 1 WHERE id = :id
                   RETURNING orders_sequence""",
                id=machine_id,
            )
        return int(row["orders_sequence"])

    def committed_usd(self, since: float) -> float:
        """What machines cost or may cost, of those created since and of all that are not gone.

        An end that is not proven keeps its reservation, and the meter beyond it.
        """
        row = self._db.one(
            """SELECT coalesce(sum(CASE WHEN gone_at IS NULL
                      THEN max(reserved_usd, usd_per_hour * (:now - created_at) / 3600)
                      ELSE usd_per_hour * (gone_at - created_at) / 3600 END), 0) AS usd
               FROM machines WHERE created_at >= :since OR gone_at IS NULL""",
            now=self._db.clock(), since=since,
        )  # fmt: skip
        return float(row["usd"])


class Speeds:
    """What machines of a kind were measured to do: source pixels a second, by kind of work."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def learn(self, device: str, work: str, pixels_per_s: float) -> None:
        """Fold one run in; the newest counts a third, so that a change of software shows soon."""
        with self._db.transaction():
            self._db.run(
                """INSERT INTO speeds VALUES (:device, :work, :speed, 1, :now)
                   ON CONFLICT (device, work) DO UPDATE SET
                     pixels_per_s = pixels_per_s * 2 / 3 + excluded.pixels_per_s / 3,
                     samples = samples + 1, updated_at = excluded.updated_at""",
                device=device, work=work, speed=pixels_per_s, now=self._db.clock(),
            )  # fmt: skip

    def known(self, work: str) -> float | None:
        """The newest figure for this work on any device, pixels a second."""
        row = self._db.row(
            """SELECT pixels_per_s AS speed FROM speeds WHERE work = :work
               ORDER BY updated_at DESC LIMIT 1""",
            work=work,
        )
        return float(row["speed"]) if row else None
