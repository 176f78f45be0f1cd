"""Promise 6: what people and programs were told of jobs, by what the chats show in the end."""

_ENDS = ("done", "failed", "cancelled")


class Telling:
    """Looks at the chats of a world that has come to its end; ``jobs`` are all rows."""

    def __init__(self, world, jobs: list[dict]) -> None:
        self._world = world
        self._jobs = jobs
        self._note = world.invariants.note

    def check_order(self) -> None:
        """What a chat was told of a job came in the order in which it happened."""
        world = self._world
        for line in world.invariants.stages.find_disorder(world.watching.history):
            self._note(6, line)

    def check_ends(self) -> None:
        """Each chat shows how its job ended, whatever the program holds of that."""
        shown = self._world.invariants.stages.shown
        for job in self._jobs:
            if job["state"] != "failed" or job["chat"] is None:
                continue
            if job["batch"] is not None or job["sample_of"] is not None:
                continue
            told = shown.get((job["chat"], job["id"]), [])
            if not told or job["state"] not in told[-1]:
                self._note(6, f"chat {job['chat']} does not show that {job['id']} has failed")

    def check_results(self) -> None:
        """Each result reached its chat; again only where a crash came between."""
        world = self._world
        extra: dict[str, int] = {}
        for job in self._jobs:
            if job["state"] != "done" or job["chat"] is None or job["sample_of"] is not None:
                continue
            # files of a folder are told of all at once, by their names
            mark = job["output_sha256"] if job["reply_to"] else job["output_key"].split("/")[-1]
            sends = [each for each in world.telegram.sends if mark in each.text]
            told = [each for each in sends if each.chat == job["chat"]]
            elsewhere = [each for each in sends if each.chat != job["chat"]]
            if not told:
                self._note(6, f"the result of {job['id']} never reached chat {job['chat']}")
            if elsewhere:
                self._note(9, f"the result of {job['id']} reached chat {elsewhere[0].chat}")
            # of what it has not heard the program may think that it was never sent
            heard = sum((each.chat, each.message) in world.telegram.heard for each in told)
            extra[job["batch"] or job["id"]] = max(0, heard - 1 - self._count_repeats(job))
        if world.computer.replaced:
            return  # whatever has happened since the backup is told once more
        again = sum(extra.values())
        allowed = world.deployment.kills + world.disk.failures
        if again > allowed:
            self._note(6, f"{again} results came again, and {allowed} could have")

    def _count_repeats(self, job: dict) -> int:
        """A folder of which files are done once more has another end, with all its results."""
        return sum(
            each["predecessor"] is not None
            for each in self._jobs
            if job["batch"] is not None and each["batch"] == job["batch"]
        )

    def check_cursor(self) -> None:
        """All that happened was shown."""
        (row,) = self._world.rows(
            """SELECT (SELECT max(id) FROM events) AS newest,
                      (SELECT at FROM cursors WHERE name = 'notifier') AS shown"""
        )
        if row["newest"] is not None and row["shown"] != row["newest"]:
            self._note(6, f"events up to {row['shown']} of {row['newest']} were shown")

    def check_webhook(self) -> None:
        """Whoever is told by HTTP hears of each end, and can tell a repeat."""
        if not self._world.plan.with_webhook:
            return
        heard = {each["job"] for each in self._world.deployment.told}
        for job in self._jobs:
            if job["state"] in _ENDS and job["sample_of"] is None and job["id"] not in heard:
                self._note(6, f"the webhook was not told of {job['id']}")
