"""What holds of a whole run, looked at when it is over. Numbers as in the invariants."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator

from bot.sandbox.chats import Message
from bot.sandbox.updates import FIRST_ID
from bot.texts import LANGUAGES, Texts
from controller.workload import output_frames, output_size
from remote_runner.protocol import Facts, Task, from_json
from tests.simulation.people import ALONE, STORED, STRANGER, VERA
from tests.simulation.telling import Telling

_ENDS = ("done", "failed", "cancelled")
#: What a reply says until it is known what came of a message.
_LOOKING = tuple(Texts()[language]("looking") for language in LANGUAGES)


class Verdict:
    """Looks at a world that has come to its end, and notes in its invariants what is broken."""

    def __init__(self, world) -> None:
        self._world = world
        self._note = world.invariants.note
        self._jobs = world.rows("SELECT * FROM jobs")

    def find(self) -> None:
        """All of it."""
        world = self._world
        self._check_foreign()
        self._check_secrets()
        self._check_ends()
        self._check_outputs()
        self._check_bystanders()
        telling = Telling(world, self._jobs)
        if world.computer.replaced:
            if not world.plan.ends_dead:
                telling.check_ends()
                telling.check_results()
            return  # what else came after a backup that was restored is known to nobody
        telling.check_order()
        if not world.plan.ends_dead:
            self._check_updates()
            self._check_requests()
            telling.check_ends()
            telling.check_results()
            telling.check_cursor()
            telling.check_webhook()

    def _check_ends(self) -> None:
        """3 and 7: each job ended once, and as it should."""
        told: dict[str, list[str]] = {}
        for row in self._world.rows("SELECT job, kind FROM events ORDER BY id"):
            if row["kind"] in _ENDS:
                told.setdefault(row["job"], []).append(row["kind"])
        for job in self._jobs:
            ended = job["state"] in _ENDS
            ends = told.get(job["id"], [])
            if ends != ([job["state"]] if ended else []):
                self._note(3, f"job {job['id']} is {job['state']} and ended as {ends}")
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
            elif not published and there and not self._is_left(job, there):
                self._note(4, f"job {job['id']} is {job['state']} with {there}")
            if published and there:
                self._check_output(job)

    def _is_left(self, job: dict, keys: list[str]) -> bool:
        """Whether nobody may be there to tidy up, or to know of it or of the attempt that made it:
        they came after the backup that was restored."""
        if self._world.plan.ends_dead or not self._world.computer.replaced:
            return self._world.plan.ends_dead
        if self._world.computer.lost_outputs.issuperset(keys):
            return True
        known = self._world.rows("SELECT number FROM attempts WHERE job = ?", job["id"])
        names = {f"{job['id']}/{row['number']}" for row in known}
        data = [self._world.objects.newest(key) or b"{}" for key in keys]
        return not names & {json.loads(each)["made_by"] for each in data}

    def _check_output(self, job: dict) -> None:
        """It is what its one verified attempt made, before anything could spoil it."""
        data = self._world.objects.newest(job["output_key"]) or b"{}"
        digest = hashlib.sha256(data).hexdigest()
        if (len(data), digest) != (job["output_bytes"], job["output_sha256"]):
            self._note(4, f"job {job['id']} published something else")
        self._check_content(job, json.loads(data))
        if job["sha256_by"] not in ("controller", "runner"):
            self._note(4, f"whose hash job {job['id']} has is not told: {job['sha256_by']}")
        verified = self._world.rows(
            "SELECT number FROM attempts WHERE job = ? AND state = 'verified'", job["id"]
        )
        works = [self._world.machines.works.get((job["id"], row["number"])) for row in verified]
        if len(works) != 1 or works[0] is None:
            self._note(4, f"job {job['id']} is done by {len(works)} attempts")
        elif digest not in works[0].outputs:
            self._note(
                4, f"job {job['id']} published what attempt {works[0].attempt} has not made"
            )

    def _check_content(self, job: dict, found: dict) -> None:
        """It is of the size and length that were asked for."""
        facts, task = from_json(Facts, job["facts"]), from_json(Task, job["task"])
        shape = (*output_size(facts, task), output_frames(facts, task))
        if (found.get("width"), found.get("height"), found.get("frames")) != shape:
            self._note(4, f"job {job['id']} published another video than was asked for")

    def _check_updates(self) -> None:
        """6: each update was written down, and somebody has tried to handle it."""
        world = self._world
        tries = {row["id"]: row["tries"] for row in world.rows("SELECT id, tries FROM updates")}
        sent = set(range(FIRST_ID, world.telegram.api.updates._next_id))
        if lost := sent - tries.keys():
            self._note(6, f"updates {sorted(lost)[:5]} were lost")
        if untried := [each for each, count in tries.items() if not count]:
            self._note(6, f"updates {untried[:5]} count as handled, and nobody has tried to")

    def _check_requests(self) -> None:
        """6 and 7: of what people sent one thing each was made, or they were told why not."""
        made = self._count_made()
        batches = Counter(
            (each["chat"], each["reply_to"])
            for each in self._world.rows("SELECT chat, reply_to FROM batches")
        )
        for what, counts in (("jobs", made), ("batches", batches)):
            for place, count in counts.items():
                if count > 1:
                    self._note(7, f"{count} {what} were made of {place}")
        # a call that was given up for lost may leave a second reply that says nothing more
        told = {_place(each) for each in self._list_replies()}
        albums = set()
        for request in self._world.people.requests:
            group = request.raw.get("media_group_id")
            is_first = group is None or group not in albums
            albums.add(group)
            if request.deleted or not is_first:
                continue  # of an album the first message speaks for all
            if not made[_place(request)] | batches[_place(request)] and (
                _place(request) not in told
            ):
                chat = request.raw["chat"]["id"]
                self._note(6, f"of message {request.id} in chat {chat} came nothing")

    def _count_made(self) -> Counter:
        """How many jobs or batches there are of one message, or of one file of a batch."""
        made: Counter = Counter()
        for job in self._jobs:
            is_first = job["predecessor"] is None and job["sample_of"] is None
            if not is_first or not job["request_key"].startswith("tg:"):
                continue
            if job["request_key"].startswith(("tg:retry:", "tg:sample:")):
                continue
            asked = job["chat"], job["reply_to"]
            made[asked if job["reply_to"] else (job["batch"], job["source_key"])] += 1
        return made

    def _list_replies(self) -> Iterator[Message]:
        """Those that say what came of something; of what people deleted nobody knows."""
        for chat in self._world.telegram.api.world.chats.values():
            for message in chat.messages.values():
                if not message.from_bot or "reply_to_message" not in message.raw:
                    continue
                if message.deleted or message.text not in _LOOKING:
                    yield message

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
        """9: what machines have printed is kept without them as well."""
        for path in self._world.settings.logs_dir.glob("*"):
            self._world.leaks.look("a machine's log", path.read_bytes())


def _place(message: Message) -> tuple[int, int]:
    """The chat and number of a message, of a reply those of what it answers."""
    meant = message.raw.get("reply_to_message", message.raw)
    return message.raw["chat"]["id"], meant["message_id"]
