"""Machines, money and learned speeds in SQL."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from controller.records import Machine
from controller.states import MACHINE_MOVES, MachineState
from controller.store.database import Database
from remote_runner.protocol import Boot, to_json

NOT_GONE = tuple(state for state in MachineState if state is not MachineState.GONE)


class Machines:
    """Reads and moves machines."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, machine: Machine) -> None:
        """Write before you pay: the row and its reservation, in the caller's transaction."""
        columns = (
            "id", "label", "provider", "state", "name", "host", "usd_per_hour",
            "disk_gb", "gpu_ram_gb", "usd_per_gb_down", "usd_per_gb_up", "traffic_usd",
            "reserved_usd", "created_at", "expires_at",
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
        columns = {k: to_json(v) if isinstance(v, Boot) else v for k, v in columns.items()}
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
        """What machines cost or may cost, of those that lived since; older ones count whole.

        An end that is not proven keeps its reservation, and the meter beyond it.
        """
        row = self._db.one(
            """SELECT coalesce(sum(CASE WHEN gone_at IS NULL
                      THEN max(reserved_usd,
                               usd_per_hour * (:now - created_at) / 3600 + traffic_usd)
                      ELSE usd_per_hour * (gone_at - created_at) / 3600 + traffic_usd END), 0
                   ) AS usd
               FROM machines WHERE gone_at IS NULL OR gone_at >= :since""",
            now=self._db.clock(), since=since,
        )  # fmt: skip
        return float(row["usd"])

    def hosts_of(self, job_id: str) -> frozenset[str]:
        """Physical machines on which attempts of a job have ended."""
        rows = self._db.rows(
            """SELECT DISTINCT m.host FROM attempts a JOIN machines m ON m.id = a.machine
               WHERE a.job = :job AND m.host != '' AND a.ended_at IS NOT NULL
                 AND a.reason NOT IN ('rent_failed', 'restored')""",
            job=job_id,
        )
        return frozenset(row["host"] for row in rows)

    def agreed_usd_per_hour(self, machine_id: str) -> float:
        """The highest price that was agreed to for a job that is or was on a machine, or 0."""
        row = self._db.one(
            """SELECT coalesce(max(j.approved_usd_per_hour), 0) AS usd
               FROM attempts a JOIN jobs j ON j.id = a.job WHERE a.machine = :machine""",
            machine=machine_id,
        )
        return float(row["usd"])

    def write_off(self, machine_id: str) -> None:
        """A machine that was never made costs nothing and reserves nothing."""
        with self._db.transaction():
            self._db.run(
                """UPDATE machines SET usd_per_hour = 0, traffic_usd = 0, reserved_usd = 0,
                          version = version + 1 WHERE id = :id""",
                id=machine_id,
            )

    def charge_traffic(self, machine_id: str, usd: float) -> None:
        """Add traffic to what a machine cost; the reservation never falls below it."""
        with self._db.transaction():
            self._db.run(
                """UPDATE machines SET traffic_usd = traffic_usd + :usd,
                          reserved_usd = reserved_usd + :usd WHERE id = :id""",
                usd=usd, id=machine_id,
            )  # fmt: skip


class Speeds:
    """What machines of a kind were measured to do: source pixels a second, by kind of work."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def learn(self, device: str, work: str, pixels_per_s: float) -> None:
        """Fold one run in; the newest counts a third, so that a change of software shows soon.

        A host that lies does not move the figure to where it is of no use: it counts for four
        times what is known, or a quarter, at most.
        """
        with self._db.transaction():
            self._db.run(
                """INSERT INTO speeds VALUES (:device, :work, :speed, 1, :now)
                   ON CONFLICT (device, work) DO UPDATE SET
                     pixels_per_s = pixels_per_s * 2 / 3
                       + min(max(excluded.pixels_per_s, pixels_per_s / 4), pixels_per_s * 4) / 3,
                     samples = samples + 1, updated_at = excluded.updated_at""",
                device=device, work=work, speed=pixels_per_s, now=self._db.clock(),
            )  # fmt: skip

    def known(self, work: str, device: str | None = None) -> float | None:
        """The newest figure for this work on this device, or on any; pixels a second."""
        row = self._db.row(
            """SELECT pixels_per_s AS speed FROM speeds
               WHERE work = :work AND (:device IS NULL OR device = :device)
               ORDER BY updated_at DESC LIMIT 1""",
            work=work, device=device,
        )  # fmt: skip
        return float(row["speed"]) if row else None


class Bans:
    """Hosts that failed, for a while: each further strike doubles it, time forgives."""

    FIRST_S = 3600.0
    LONGEST_S = 7 * 86400.0
    FORGIVEN_S = 7 * 86400.0
    """A strike is forgotten after so long without another one."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def strike(self, host: str, reason: str) -> None:
        """Ban a host for an hour, two, four …; the empty name is nobody's."""
        if not host:
            return
        now = self._db.clock()
        with self._db.transaction():
            row = self._db.row("SELECT * FROM bans WHERE host = :host", host=host)
            forgiven = int((now - row["struck_at"]) // self.FORGIVEN_S) if row else 0
            strikes = max(0, row["strikes"] - forgiven) + 1 if row else 1
            until = now + min(self.LONGEST_S, self.FIRST_S * 2 ** (strikes - 1))
            self._db.run(
                """INSERT INTO bans VALUES (:host, :strikes, :now, :until, :reason)
                   ON CONFLICT (host) DO UPDATE SET strikes = excluded.strikes,
                     struck_at = excluded.struck_at, until = excluded.until,
                     reason = excluded.reason""",
                host=host, strikes=strikes, now=now, until=until, reason=reason,
            )  # fmt: skip

    def active(self) -> dict[str, str]:
        """Hosts that are banned now, and why."""
        rows = self._db.rows("SELECT * FROM bans WHERE until > :now", now=self._db.clock())
        return {row["host"]: row["reason"] for row in rows}
