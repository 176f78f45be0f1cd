"""The database's history: append only, each step once, in a transaction with its own record."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from controller.states import AttemptState, JobState, MachineState

migrations = Migrations("controller")


def _one_of(states: type[JobState] | type[AttemptState] | type[MachineState]) -> str:
    return ", ".join(f"'{state}'" for state in states)


@migrations()
def m001_jobs(db: Database) -> None:
    db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    db.execute(
        f"""CREATE TABLE jobs (
            id TEXT PRIMARY KEY,
            request_key TEXT NOT NULL UNIQUE,
            owner INTEGER NOT NULL,
            chat INTEGER,
            reply_to INTEGER,
            language TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ({_one_of(JobState)})),
            version INTEGER NOT NULL DEFAULT 1,
            task TEXT NOT NULL,
            source_key TEXT NOT NULL,
            source_name TEXT NOT NULL,
            source_bytes INTEGER NOT NULL,
            source_is_ours INTEGER NOT NULL,
            source_etag TEXT NOT NULL DEFAULT '',
            facts TEXT NOT NULL,
            created_at REAL NOT NULL,
            deadline_at REAL NOT NULL,
            started_at REAL,
            ended_at REAL,
            cancel_requested_at REAL,
            not_before REAL NOT NULL DEFAULT 0,
            attempts INTEGER NOT NULL DEFAULT 0,
            reason TEXT,
            detail TEXT NOT NULL DEFAULT '',
            output_claim TEXT,
            output_key TEXT,
            output_bytes INTEGER,
            output_sha256 TEXT,
            sha256_by TEXT,
            result TEXT,
            cost_usd REAL NOT NULL DEFAULT 0,
            waits_for TEXT,
            waits_detail TEXT NOT NULL DEFAULT '',
            pruned_at REAL,
            -- one publication a job, and nothing is done without its object
            CHECK ((state = 'done') = (output_key IS NOT NULL AND output_sha256 IS NOT NULL)),
            CHECK ((state IN ('done', 'failed', 'cancelled')) = (ended_at IS NOT NULL)),
            CHECK (state != 'failed' OR reason IS NOT NULL)
        )"""
    )
    db.execute("CREATE INDEX jobs_by_state ON jobs (state, created_at)")
    db.execute("CREATE INDEX jobs_by_source ON jobs (source_etag) WHERE source_etag != ''")
    db.execute("CREATE INDEX jobs_by_owner ON jobs (owner, created_at)")
    db.execute(
        f"""CREATE TABLE machines (
            id TEXT PRIMARY KEY,
            label TEXT NOT NULL UNIQUE,
            provider TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ({_one_of(MachineState)})),
            version INTEGER NOT NULL DEFAULT 1,
            instance TEXT,
            name TEXT NOT NULL,
            host TEXT NOT NULL DEFAULT '',
            usd_per_hour REAL NOT NULL,
            disk_gb REAL NOT NULL DEFAULT 0,
            gpu_ram_gb REAL,
            usd_per_gb_down REAL NOT NULL DEFAULT 0,
            usd_per_gb_up REAL NOT NULL DEFAULT 0,
            traffic_usd REAL NOT NULL DEFAULT 0,
            reserved_usd REAL NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL NOT NULL,
            status TEXT,
            status_detail TEXT NOT NULL DEFAULT '',
            status_at REAL,
            running_at REAL,
            boot TEXT,
            booted_at REAL,
            idle_since REAL,
            retire_requested_at REAL,
            retire_reason TEXT NOT NULL DEFAULT '',
            absent_since REAL,
            absences INTEGER NOT NULL DEFAULT 0,
            destroyed_at REAL,
            gone_at REAL,
            orders_sequence INTEGER NOT NULL DEFAULT 0,
            -- gone needs proof: destroyed, and absent from two complete listings
            CHECK ((state = 'gone') = (gone_at IS NOT NULL)),
            CHECK (state != 'gone' OR (destroyed_at IS NOT NULL AND absences >= 2))
        )"""
    )
    db.execute("CREATE INDEX machines_by_state ON machines (state)")
    db.execute(
        f"""CREATE TABLE attempts (
            job TEXT NOT NULL REFERENCES jobs (id),
            number INTEGER NOT NULL,
            machine TEXT NOT NULL REFERENCES machines (id),
            state TEXT NOT NULL CHECK (state IN ({_one_of(AttemptState)})),
            version INTEGER NOT NULL DEFAULT 1,
            assigned_at REAL NOT NULL,
            started_at REAL,
            seen_at REAL,
            ended_at REAL,
            deadline_at REAL NOT NULL,
            status TEXT,
            reason TEXT,
            detail TEXT NOT NULL DEFAULT '',
            traffic_usd REAL NOT NULL DEFAULT 0,
            warnings TEXT NOT NULL DEFAULT '[]',
            PRIMARY KEY (job, number)
        )"""
    )
    db.execute(
        """CREATE UNIQUE INDEX one_open_attempt_a_job ON attempts (job)
           WHERE state IN ('assigned', 'running')"""
    )
    db.execute(
        """CREATE UNIQUE INDEX one_open_attempt_a_machine ON attempts (machine)
           WHERE state IN ('assigned', 'running')"""
    )


@migrations()
def m002_events(db: Database) -> None:
    db.execute(
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at REAL NOT NULL,
            job TEXT NOT NULL REFERENCES jobs (id),
            kind TEXT NOT NULL,
            data TEXT NOT NULL
        )"""
    )
    db.execute("CREATE INDEX events_by_job ON events (job)")
    db.execute("CREATE TABLE cursors (name TEXT PRIMARY KEY, at INTEGER NOT NULL)")


@migrations()
def m003_chats(db: Database) -> None:
    db.execute(
        """CREATE TABLE updates (
            id INTEGER PRIMARY KEY,
            received_at REAL NOT NULL,
            body TEXT NOT NULL,
            tries INTEGER NOT NULL DEFAULT 0,
            handled_at REAL
        )"""
    )
    db.execute(
        """CREATE TABLE offsets (
            one INTEGER PRIMARY KEY CHECK (one = 1), next INTEGER NOT NULL, at REAL NOT NULL
        )"""
    )
    db.execute("CREATE INDEX updates_pending ON updates (id) WHERE handled_at IS NULL")
    db.execute(
        """CREATE TABLE cards (
            job TEXT PRIMARY KEY REFERENCES jobs (id),
            chat INTEGER NOT NULL,
            message INTEGER,
            shown TEXT NOT NULL DEFAULT '',
            finished INTEGER NOT NULL DEFAULT 0,
            delivering_at REAL
        )"""
    )
    db.execute(
        """CREATE TABLE preferences (
            user INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (user, name)
        )"""
    )


@migrations()
def m004_speeds(db: Database) -> None:
    db.execute(
        """CREATE TABLE speeds (
            device TEXT NOT NULL, work TEXT NOT NULL,
            pixels_per_s REAL NOT NULL, samples INTEGER NOT NULL, updated_at REAL NOT NULL,
            PRIMARY KEY (device, work)
        )"""
    )


@migrations()
def m005_bans(db: Database) -> None:
    db.execute(
        """CREATE TABLE bans (
            host TEXT PRIMARY KEY,
            strikes INTEGER NOT NULL,
            struck_at REAL NOT NULL,
            until REAL NOT NULL,
            reason TEXT NOT NULL
        )"""
    )


@migrations()
def m006_predecessors(db: Database) -> None:
    db.execute("ALTER TABLE jobs ADD COLUMN predecessor TEXT REFERENCES jobs (id)")
    db.execute(
        "CREATE INDEX jobs_by_predecessor ON jobs (predecessor) WHERE predecessor IS NOT NULL"
    )
