"""What holds of a whole run, looked at when it is over. Numbers as in the invariants."""

import hashlib
import json

from bot.sandbox.updates import FIRST_ID
from tests.simulation.faults import Fault
from tests.simulation.people import ADMIN, ALONE, STORED, STRANGER, VERA

_ENDS = ("done", "failed", "cancelled")
#: What makes a message come twice: whoever sent it did not learn that it was sent.
_LOST = (Fault.TELEGRAM_ANSWER_LOST, Fault.TELEGRAM_IN_FLIGHT)


class Verdict:
    """Looks at a world that has come to its end, and notes in its invariants what is broken."""

    def __init__(self, world, secrets: tuple[str, ...]) -> None:
        self._world = world
        self._secrets = secrets
        self._note = world.invariants.note
        self._jobs = world.rows("SELECT * FROM jobs")

    def find(self) -> None:
        """All of it."""
        world = self._world
        for surprise in world.invariants.surprises.found:
            self._note(10, surprise)
        if not world.plan.disk_faults:
            for failure in world.deployment.failures:
                self._note(10, f"the program ended by itself: {failure!r}")
        self._check_foreign()
        self._check_secrets()
        if world.computer.replaced:
            return  # what came after a backup that was restored is known to nobody
        self._check_ends()
        self._check_outputs()
        self._check_bystanders()
        if not world.plan.ends_dead:
            self._check_updates()
            self._check_messages()
            self._check_webhook()

    def _check_ends(self) -> None:
        """3 and 7: each job ended once, and as it should."""
        told: dict[str, list[str]] = {}
        for row in self._world.rows("SELECT job, kind FROM events ORDER BY id"):
            if row["kind"] in _ENDS:
                told.setdefault(row["job"], []).append(row["kind"])
        for job in self._jobs:
            ended = job["state"] in _ENDS
            if told.get(job["id"], []) != ([job["state"]] if ended else []):
                self._note(3, f"job {job['id']} is {job['state']} and ended as {told[job['id']]}")
            if not ended and not self._world.plan.ends_dead:
                self._note(3, f"job {job['id']} is {job['state']} for ever")
            if job["state"] == "done" and job["cancel_requested_at"] is not None:
                self._note(7, f"job {job['id']} was cancelled and is done")

    def _check_outputs(self) -> None:
        """4: what is published is there, once, and whole; nothing else is."""
        objects = self._world.objects
        outputs = objects.keys("output/")
        for job in self._jobs:
            short = job["id"][-6:].lower()
            there = [key for key in outputs if f"_{short}." in key]
            published = job["state"] == "done" and job["sample_of"] is None
            if published and there != [job["output_key"]]:
                self._note(4, f"job {job['id']} is done with {there}")
            elif not published and there and not self._world.plan.ends_dead:
                self._note(4, f"job {job['id']} is {job['state']} with {there}")
            if published and there:
                data = objects.newest(job["output_key"]) or b"{}"
                digest = hashlib.sha256(data).hexdigest()
                if (len(data), digest) != (job["output_bytes"], job["output_sha256"]):
                    self._note(4, f"job {job['id']} published something else")
                if json.loads(data).get("made_by", "").partition("/")[0] != job["id"]:
                    self._note(4, f"job {job['id']} published what was made for another")

    def _check_updates(self) -> None:
        """6: each update was written down."""
        world = self._world
        known = {row["id"] for row in world.rows("SELECT id FROM updates")}
        sent = set(range(FIRST_ID, world.telegram.api.updates._next_id))
        if lost := sent - known:
            self._note(6, f"updates {sorted(lost)[:5]} were lost")

    def _check_messages(self) -> None:
        """6: each result reached its chat; how often more is what made it come again."""
        world = self._world
        extra: dict[str, int] = {}
        for job in self._jobs:
            if job["state"] != "done" or job["chat"] is None or job["sample_of"] is not None:
                continue
            # files of a folder are told of all at once, by their names
            mark = job["output_sha256"] if job["reply_to"] else job["output_key"].split("/")[-1]
            sends = [each for each in world.telegram.sends if mark in each.text]
            told = [each for each in sends if each.chat == job["chat"]]
            elsewhere = [each for each in sends if each.chat not in (job["chat"], ADMIN)]
            if not told:
                self._note(6, f"the result of {job['id']} never reached chat {job['chat']}")
            if elsewhere:
                self._note(9, f"the result of {job['id']} reached chat {elsewhere[0].chat}")
            extra[job["batch"] or job["id"]] = max(0, len(told) - 1)
        again = sum(extra.values())
        allowed = world.deployment.kills + sum(world.faults.hits[each] for each in _LOST)
        if again > allowed:
            self._note(6, f"{again} results came again, and {allowed} could have")
        (row,) = world.rows(
            """SELECT (SELECT max(id) FROM events) AS newest,
                      (SELECT at FROM cursors WHERE name = 'notifier') AS shown"""
        )
        if row["newest"] is not None and row["shown"] != row["newest"]:
            self._note(6, f"events up to {row['shown']} of {row['newest']} were shown")

    def _check_webhook(self) -> None:
        """6: whoever is told by HTTP hears of each end, and can tell a repeat."""
        if not self._world.plan.with_webhook:
            return
        heard = {each["job"] for each in self._world.deployment.told}
        for job in self._jobs:
            if job["state"] in _ENDS and job["sample_of"] is None and job["id"] not in heard:
                self._note(6, f"the webhook was not told of {job['id']}")

    def _check_foreign(self) -> None:
        """8: what is not ours is as it was."""
        world = self._world
        if world.vast.touched_foreign:
            self._note(8, f"touched: {world.vast.touched_foreign[:3]}")
        for key, data in world.people.stored.items():
            if world.objects.newest(key) != data or key in world.objects.destroyed:
                self._note(8, f"{key} was touched")
        assert set(world.people.stored) >= {*STORED, ALONE}

    def _check_bystanders(self) -> None:
        """8: nobody starts, stops or sees what is not theirs."""
        for job in self._jobs:
            if job["owner"] == STRANGER:
                self._note(8, "a stranger has a job")
            untouched = job["attempts"] == 0 and job["started_at"] is None
            expired = job["state"] == "draft" or job["reason"] == "expired"
            if job["owner"] == VERA and not (untouched and expired):
                self._note(8, f"somebody else touched {job['id']}: {job['state']}")
        if any(each.chat == STRANGER for each in self._world.telegram.sends):
            self._note(8, "a stranger was answered")

    def _check_secrets(self) -> None:
        """9: they are in no message, no object, and nothing that a machine is given."""
        world = self._world
        places = {
            "a message": (f"{each.text} {each.buttons}" for each in world.telegram.sends),
            "an object": (
                (world.objects.newest(key) or b"").decode(errors="replace")
                for key in world.objects.objects
            ),
            "a machine": (json.dumps(each.body) for each in world.vast.instances.values()),
            "a log": (
                path.read_text(errors="replace") for path in world.settings.logs_dir.glob("*")
            ),
        }
        for place, texts in places.items():
            for text in texts:
                if any(secret in text for secret in self._secrets):
                    self._note(9, f"a secret is in {place}")
