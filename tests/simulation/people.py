"""What people do: they send videos, press the buttons that they see, write commands, and answer.

Whom nobody serves, and whoever presses what is not theirs, does so as well.
"""

import random
from collections import Counter

from bot.cards.admin_callbacks import PersonAct, PersonPress
from bot.sandbox.chats import Message
from bot.sandbox.errors import RefusedError
from controller.errors import UserError
from controller.records import Actor
from controller.states import JobState
from tests.controller.conftest import video
from tests.simulation.outside.products import SPOILT

ADMIN, ANN, BOB, VERA, STRANGER = 1, 7, 8, 9, 666
USERS = (ANN, BOB, VERA)
GROUP = -1_001_234
STORED = tuple(f"input/c1/{name}.mp4" for name in ("one", "two", "three"))
ALONE = "input/films/long walk.mp4"
_COMMANDS = ("/status", "/help", "/cancel", "/settings", "/start", "/language", "hello")
#: Not /spend: its chart takes longer to draw than all the rest of a run.
_ADMIN_COMMANDS = ("/machines", "/queue", "/status")
_CAPTIONS = ("", "", "", "/both", "/smooth", "/x2")
#: How much more likely a button is pressed, by what its data begin with; the longest counts.
_WEIGHTS = {
    "": 0.2, "p:": 1.0, "j:start": 25.0, "j:sample": 0.0, "j:ask": 0.6, "j:yes": 1.5, "j:no": 1.0,
    "j:retry": 4.0, "j:again": 0.6, "j:change": 0.5, "j:ok": 6.0, "j:deny": 1.0, "j:admin": 3.0,
    "t:": 3.0, "bt:start": 25.0, "bt:ask": 0.5, "bt:yes": 1.0, "bt:ok": 5.0, "bt:retry": 2.0,
    "us:": 0.0, "ln": 0.02, "se": 0.05, "st:": 0.1, "st:y": 0.0, "qu:": 0.15, "mc:y": 0.3,
    "hl": 0.0, "lo": 0.2, "sp": 0.0, "g:": 0.1, "o:": 0.1, "al": 0.0,
}  # fmt: skip
_SHORT = 0.4
#: Buttons of old messages are pressed as well, though seldom.
_NEWEST = 8


class People:
    """``counts`` has what they did."""

    def __init__(self, world) -> None:
        self.counts: Counter[str] = Counter()
        self._world = world
        self._rng = random.Random(f"people {world.plan.seed}")
        self._sent = 0
        self._keen = ANN
        """Who has sent something last, and waits for what comes of it."""
        self.requests: list[Message] = []
        """What they sent to have something made of it."""
        self._weights = dict(_WEIGHTS)
        if world.plan.with_samples:
            self._weights["j:sample"] = 5.0
        telegram = world.telegram
        for user, name, language in (
            (ADMIN, "Ada", "en"), (ANN, "Аня", "ru"), (BOB, "Bob", "en"),
            (VERA, "Vera", "en"), (STRANGER, "Mallory", "en"),
        ):  # fmt: skip
            telegram.enter(user, name, language=language)
            telegram.send_text(user, user, "/start")
        if world.plan.with_group:
            telegram.found_group(GROUP, "Films", [ANN, BOB])
        self.stored = {
            key: self.film(5.0 * number) for number, key in enumerate((*STORED, ALONE), 1)
        }
        """What lies in the bucket, and is theirs."""
        self.stored["another project/model.bin"] = b"not a video at all"
        for key, data in self.stored.items():
            world.objects.store(key, data)
        # she sends one video and never looks at it again: nobody else may
        telegram.send_video(VERA, VERA, self.film(12.0), name="hers.mp4")

    # --- while there are faults ----------------------------------------------------------------

    def act(self, seconds: float) -> None:
        """What happens in so many seconds. Somebody has come for something."""
        if not self._sent:
            self._send_one()
            return
        if self._rng.random() >= seconds / self._world.plan.pace_s:
            return
        deeds = [
            (self._send_one, 3.0), (self._press_own, 15.0), (self._command, 1.0),
            (self._send_many, 1.0 if self._world.plan.with_batches else 0.0),
            (self._press_others, 0.7), (self._answer, 2.0), (self._write_as_stranger, 0.2),
            (self._delete_message, 0.1), (self._set_budget, 0.4),
        ]  # fmt: skip
        (deed,) = self._rng.choices([d for d, _ in deeds], [weight for _, weight in deeds])
        try:
            deed()
        except RefusedError as error:
            self._world.tell(f"people: {error}")

    def _send_one(self) -> None:
        if self._sent >= self._world.plan.videos:
            return
        self._sent += 1
        user, telegram = self._rng.choice([ANN, ANN, BOB, ADMIN]), self._world.telegram
        self._keen = user
        chat = GROUP if self._world.plan.with_group and user != ADMIN else user
        if self._rng.random() < 0.5:
            chat = user
        if self._rng.random() < 0.15:
            self._count("path")
            self.requests.append(telegram.send_text(user, chat, ALONE))
            return
        is_junk = self._rng.random() < 0.06
        self._count("junk" if is_junk else "video")
        data = b"this is no video" if is_junk else self.film()
        message = telegram.send_video(
            user, chat, data, name=f"clip {self._sent}.mp4",
            caption=self._rng.choice(_CAPTIONS), as_document=self._rng.random() < 0.2,
        )  # fmt: skip
        self.requests.append(message)

    def _send_many(self) -> None:
        if self._sent >= self._world.plan.videos:
            return
        self._sent += 2
        user, telegram = self._rng.choice([ANN, BOB]), self._world.telegram
        self._keen = user
        if self._rng.random() < 0.5:
            self._count("folder")
            self.requests.append(telegram.send_text(user, user, "/batch input/c1"))
            return
        self._count("album")
        films = [(f"part {n}.mp4", self.film()) for n in range(self._rng.choice([2, 3]))]
        caption = self._rng.choice(_CAPTIONS)
        self.requests += telegram.send_album(user, user, films, caption=caption)

    def _press_own(self) -> None:
        self._press_some(self._rng.choice([self._keen] * 4 + [ANN, BOB, ADMIN]))

    def _answer(self) -> None:
        self._press_some(ADMIN, ("j:ok", "j:deny", "t:", "bt:ok", "bt:deny"))

    def _press_some(self, user: int, wanted: tuple[str, ...] = ("",)) -> None:
        chats = [user]
        if self._world.plan.with_group and user in (ANN, BOB):
            chats.append(GROUP)
        chat = self._rng.choice(chats)
        choices, weights = [], []
        for age, message in enumerate(reversed(self._world.telegram.messages(chat))):
            if age > _NEWEST and self._rng.random() < 0.7:
                break
            for data in self._world.telegram.buttons(message):
                if data.startswith(wanted):
                    choices.append((message.id, data))
                    weights.append(self._weigh(data) / (1 + age / 4))
        if sum(weights) > 0:
            ((message_id, data),) = self._rng.choices(choices, weights)
            self._count(f"press {data.partition(':')[0]}")
            self._world.telegram.press(user, chat, message_id, data)
            if self._rng.random() < 0.05:  # twice, as people do
                self._world.telegram.press(user, chat, message_id, data)

    def _weigh(self, data: str) -> float:
        matching = [prefix for prefix in self._weights if data.startswith(prefix)]
        return self._weights[max(matching, key=len)]

    def _press_others(self) -> None:
        """Somebody forges a press of what is another person's."""
        telegram = self._world.telegram
        victim, culprit = self._rng.choice([(VERA, BOB), (VERA, STRANGER), (ANN, STRANGER)])
        stolen = [
            data for message in telegram.messages(victim) for data in telegram.buttons(message)
        ]
        own = telegram.messages(culprit)
        if stolen and own:
            self._count("forged press")
            message = self._rng.choice(own)
            telegram.press(culprit, culprit, message.id, self._rng.choice(stolen))

    def _command(self) -> None:
        user = self._rng.choice([ANN, BOB, ADMIN])
        known = _ADMIN_COMMANDS if user == ADMIN else _COMMANDS
        self._count("command")
        self._world.telegram.send_text(user, user, self._rng.choice(known))

    def _write_as_stranger(self) -> None:
        self._count("stranger")
        self._world.telegram.send_video(STRANGER, STRANGER, self.film(), name="theirs.mp4")

    def _delete_message(self) -> None:
        user = self._rng.choice([ANN, BOB])
        if shown := self._world.telegram.messages(user):
            self._count("delete")
            self._world.telegram.delete(user, user, self._rng.choice(shown).id)

    def _set_budget(self) -> None:
        """An admin limits what somebody's jobs may cost a day to a cent, or does so no more."""
        telegram = self._world.telegram
        user, cents = self._rng.choice([ANN, BOB]), self._rng.choice([0, 1, 1])
        wish = PersonPress(act=PersonAct.BUDGET, user=user, cents=cents).pack()
        for message in reversed(telegram.messages(ADMIN)):
            if any(data.startswith("us:") for data in telegram.buttons(message)):
                self._count("budget")
                telegram.press(ADMIN, ADMIN, message.id, wish)
                return
        telegram.send_text(ADMIN, ADMIN, "/users")

    # --- when it is over -----------------------------------------------------------------------

    def answer(self) -> None:
        """Only what is asked for is answered."""
        if self._rng.random() < 0.2:
            self._answer()

    def close(self) -> None:
        """All who still wait for a yes get a no, and nothing is paused any more."""
        controller = self._world.deployment.controller
        if controller is None or not set(self._world.watching.jobs()) & {"held", "queued"}:
            return
        admin = Actor(ADMIN, admin=True)
        if controller.queue.paused or controller.queue.drained:
            controller.queue.resume(by=admin)
        waiting = "SELECT id, state FROM jobs WHERE state = ? OR (state = ? AND waits_for != '')"
        for job in self._world.rows(waiting, JobState.HELD, JobState.QUEUED):
            end = controller.decline if job["state"] == JobState.HELD else controller.cancel
            self._try(lambda job=job, end=end: end(job["id"], by=admin))

    def _try(self, deed) -> None:
        try:
            deed()
        except UserError as error:
            self._world.tell(f"people: {error.code}")

    # --- films ---------------------------------------------------------------------------------

    def film(self, duration_s: float | None = None) -> bytes:
        """A video that nobody else has."""
        if duration_s is None:
            duration_s = round(self._rng.uniform(*self._choose_length()), 1)
        frames = round(duration_s * 24)
        spoilt = self._world.plan.spoilt and self._rng.random() < self._world.plan.spoilt
        return video(
            duration_s=frames / 24, frames=frames, bytes=self._rng.randrange(10**5, 10**7),
            codec=SPOILT if spoilt else "h264",
        )  # fmt: skip

    def _choose_length(self) -> tuple[float, float]:
        """Some are over before anybody has looked at how far they are."""
        if self._rng.random() < _SHORT:
            return 0.5, 2.0
        return 2.0, 600.0 if self._world.plan.long_work else 60.0

    def _count(self, deed: str) -> None:
        self.counts[deed] += 1
        self._world.tell(f"people: {deed}")
