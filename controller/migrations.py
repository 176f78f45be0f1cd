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


@migrations()
def m007_chat_house(db: Database) -> None:
    """Batches, samples, approvals, an order of the queue, people, links and browser uploads."""
    db.execute(
        """CREATE TABLE batches (
            id TEXT PRIMARY KEY,
            request_key TEXT NOT NULL UNIQUE,
            owner INTEGER NOT NULL,
            chat INTEGER,
            reply_to INTEGER,
            language TEXT NOT NULL,
            name TEXT NOT NULL,
            created_at REAL NOT NULL,
            refused TEXT NOT NULL DEFAULT '[]'
        )"""
    )
    for column in (
        "batch TEXT REFERENCES batches (id)",
        "sample_of TEXT REFERENCES jobs (id)",
        "priority INTEGER NOT NULL DEFAULT 0",
        "held_for TEXT",
        "held_data TEXT NOT NULL DEFAULT '{}'",
        "approved_usd_per_hour REAL",
        "approved_usd REAL",
        "approved_s REAL",
        "approved_by INTEGER",
    ):
        db.execute(f"ALTER TABLE jobs ADD COLUMN {column}")
    db.execute("CREATE INDEX jobs_by_batch ON jobs (batch) WHERE batch IS NOT NULL")
    db.execute("CREATE INDEX jobs_by_sample ON jobs (sample_of) WHERE sample_of IS NOT NULL")
    db.execute("ALTER TABLE cards RENAME TO job_cards")
    db.execute(
        """CREATE TABLE cards (
            subject TEXT PRIMARY KEY,
            chat INTEGER NOT NULL,
            message INTEGER,
            shown TEXT NOT NULL DEFAULT '',
            finished INTEGER NOT NULL DEFAULT 0,
            delivering_at REAL
        )"""
    )
    db.execute(
        """INSERT INTO cards (subject, chat, message, shown, finished, delivering_at)
           SELECT job, chat, message, shown, finished, delivering_at FROM job_cards"""
    )
    db.execute("DROP TABLE job_cards")
    db.execute("CREATE INDEX cards_by_message ON cards (chat, message)")


@migrations()
def m008_people(db: Database) -> None:
    db.execute(
        """CREATE TABLE members (
            user INTEGER PRIMARY KEY,
            role TEXT NOT NULL CHECK (role IN ('admin', 'user', 'blocked')),
            name TEXT NOT NULL DEFAULT '',
            day_budget REAL,
            invited_by INTEGER,
            added_at REAL NOT NULL
        )"""
    )
    db.execute(
        """CREATE TABLE invites (
            code_hash TEXT PRIMARY KEY,
            role TEXT NOT NULL CHECK (role IN ('admin', 'user')),
            created_by INTEGER NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL NOT NULL,
            used_by INTEGER,
            used_at REAL,
            revoked_at REAL
        )"""
    )
    # switches of the deployment: the queue is paused, the house is drained
    db.execute(
        """CREATE TABLE switches (
            name TEXT PRIMARY KEY, value TEXT NOT NULL, by INTEGER NOT NULL, at REAL NOT NULL
        )"""
    )


@migrations()
def m009_links_and_uploads(db: Database) -> None:
    db.execute(
        """CREATE TABLE links (
            code TEXT PRIMARY KEY,
            job TEXT NOT NULL REFERENCES jobs (id),
            what TEXT NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL NOT NULL,
            revoked_at REAL
        )"""
    )
    db.execute("CREATE INDEX links_by_job ON links (job)")
    db.execute(
        """CREATE TABLE uploads (
            id TEXT PRIMARY KEY,
            code_hash TEXT NOT NULL UNIQUE,
            request_key TEXT NOT NULL UNIQUE,
            owner INTEGER NOT NULL,
            chat INTEGER,
            reply_to INTEGER,
            language TEXT NOT NULL,
            state TEXT NOT NULL
                CHECK (state IN ('open', 'receiving', 'taken', 'failed', 'expired')),
            name TEXT NOT NULL DEFAULT '',
            bytes INTEGER NOT NULL DEFAULT 0,
            part_bytes INTEGER NOT NULL DEFAULT 0,
            key TEXT NOT NULL DEFAULT '',
            storage_id TEXT NOT NULL DEFAULT '',
            job TEXT REFERENCES jobs (id),
            error TEXT NOT NULL DEFAULT '',
            created_at REAL NOT NULL,
            expires_at REAL NOT NULL
        )"""
    )


@migrations()
def m010_batch_intake(db: Database) -> None:
    """What is known of a batch while its files come in."""
    db.execute("ALTER TABLE batches ADD COLUMN expected INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE batches ADD COLUMN taken_at REAL")


@migrations()
def m011_upload_times(db: Database) -> None:
    """When the file of an upload page was changed last, in milliseconds; 0: not known."""
    db.execute("ALTER TABLE uploads ADD COLUMN modified INTEGER NOT NULL DEFAULT 0")


@migrations()
def m012_disowned_machines(db: Database) -> None:
    """Machines that a restored database knows of and that bear another deployment's name.

    They end in this ledger without a proof that they are gone. A rule of a table can be changed in
    its text alone (https://sqlite.org/lang_altertable.html, section 7).
    """
    db.execute("ALTER TABLE machines ADD COLUMN disowned_at REAL")
    proof = "CHECK (state != 'gone' OR (destroyed_at IS NOT NULL AND absences >= 2))"
    ruled = proof.replace("state != 'gone'", "state != 'gone' OR disowned_at IS NOT NULL")
    version = db.execute("PRAGMA schema_version").fetchone()[0]
    db.execute("PRAGMA writable_schema = ON")
    changed = db.execute(
        """UPDATE sqlite_schema SET sql = replace(sql, :proof, :ruled)
           WHERE name = 'machines' AND instr(sql, :proof) > 0""",
        {"proof": proof, "ruled": ruled},
    ).rowcount
    db.execute(f"PRAGMA schema_version = {version + 1}")
    db.execute("PRAGMA writable_schema = RESET")
    if changed != 1:
        raise RuntimeError("the rule of gone machines is not where it should be")


@migrations()
def m013_alarms(db: Database) -> None:
    """What was wrong, and when people were rung for it; and what one look at all of that needs."""
    db.execute(
        """CREATE TABLE alarms (
            kind TEXT PRIMARY KEY,
            severity TEXT NOT NULL,
            since REAL NOT NULL,
            figures TEXT NOT NULL,
            opened_at REAL NOT NULL,
            worse_at REAL NOT NULL,
            rung_at REAL NOT NULL,
            rung_severity TEXT NOT NULL,
            ended_at REAL
        )"""
    )
    db.execute("CREATE INDEX attempts_by_machine ON attempts (machine)")
    db.execute("CREATE INDEX attempts_by_end ON attempts (ended_at)")


@migrations()
def m014_rung_count(db: Database) -> None:
    """How many there were of what is wrong when people were rung for it; NULL: not known."""
    db.execute("ALTER TABLE alarms ADD COLUMN rung_count INTEGER")
    db.execute("UPDATE alarms SET rung_count = json_extract(figures, '$.count')")


@migrations()
def m015_claims(db: Database) -> None:
    """Keys that results were copied to, for each attempt; jobs did not say for which one."""
    db.execute(
        """CREATE TABLE claims (
            job TEXT NOT NULL REFERENCES jobs (id),
            attempt INTEGER NOT NULL,
            key TEXT NOT NULL,
            at REAL NOT NULL,
            PRIMARY KEY (job, attempt, key)
        )"""
    )
    db.execute(
        """INSERT INTO claims
           SELECT id, 0, output_claim, coalesce(ended_at, started_at, created_at) FROM jobs
           WHERE output_claim IS NOT NULL AND state != 'done'"""
    )
    db.execute("ALTER TABLE jobs DROP COLUMN output_claim")
