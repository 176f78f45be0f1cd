"""Bugs by which something that came is lost, or something that happened is not told, or twice."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

CHATS = (
    Mutant(
        name="confirmed-before-committed",
        breaks="The next request confirms updates that are not in the database yet.",
        promise=Promise.TOLD,
        path="bot/feed/poller.py",
        swaps=(
            (
                "        self._answered = False\n",
                "        self._answered = False\n        self._next: int | None = None\n",
            ),
            (
                "                    self._controller.inbox_add(_pack(updates))\n",
                """\
                    self._next = max(update["update_id"] for update in updates) + 1
                    asyncio.get_running_loop().call_later(0.05, self._store, updates)
""",
            ),
            (
                """\
    async def _fetch(self)""",
                """\
    def _store(self, updates: list[dict[str, Any]]) -> None:
        self._controller.inbox_add(_pack(updates))
        self._on_news()

    async def _fetch(self)""",
            ),
            (
                "offset=self._controller.inbox_offset(),",
                "offset=self._next or self._controller.inbox_offset(),",
            ),
        ),
        tests=(
            "tests/bot/test_poller.py::test_updates_are_committed_before_the_next_request_confirms_them",
        ),
    ),
    Mutant(
        name="update-done-before-handled",
        breaks="An update counts as handled before it is: a crash in between loses it.",
        promise=Promise.TOLD,
        path="bot/feed/inbox.py",
        swaps=(
            (
                """\
        crashes = 0
        while""",
                """\
        crashes = 0
        self._controller.inbox_done(stored.id)
        while""",
            ),
        ),
        tests=("tests/bot/test_inbox.py::test_the_end_waits_for_handlers_and_keeps_the_rest",),
    ),
    Mutant(
        name="cursor-runs-ahead",
        breaks="The cursor moves over events that a held-up chat has not been shown.",
        promise=Promise.TOLD,
        path="bot/screen/notifier.py",
        swaps=(
            (
                "return min([seen, *(event - 1 for event in oldest if event is not None)])",
                "return max([seen, *(event - 1 for event in oldest if event is not None)])",
            ),
        ),
        tests=("tests/bot/test_notifier.py::test_the_cursor_waits_for_a_chat_that_is_held_up",),
    ),
    Mutant(
        name="finished-before-sent",
        breaks="A card is marked as finished before its result is sent: a crash loses that.",
        promise=Promise.TOLD,
        path="bot/screen/delivery.py",
        swaps=(
            (
                "change(job.id, delivering_at=self._controller.clock())",
                "change(job.id, delivering_at=self._controller.clock(), finished=True)",
            ),
        ),
        tests=(
            "tests/bot/test_notifier.py::test_a_kill_between_sending_and_remembering_repeats_the_result_once",
        ),
    ),
    Mutant(
        name="end-dropped-in-an-outage",
        breaks="An end that could not be told at once is told never.",
        promise=Promise.TOLD,
        path="bot/screen/chat.py",
        swaps=(
            (
                """\
                log.warning("the end of %s has to wait: %s", subject, type(error).__name__)
""",
                """\
                log.warning("the end of %s is not told: %s", subject, type(error).__name__)
                return
""",
            ),
        ),
        tests=("tests/bot/test_delivery.py::test_a_broken_upload_is_repeated",),
    ),
    Mutant(
        name="end-dropped-with-its-card",
        breaks="Where the last edit of a card is refused, the end of its job is not told either.",
        promise=Promise.TOLD,
        path="bot/screen/chat.py",
        swaps=(
            (
                """\
                log.exception("the card of %s could not be shown", subject)
""",
                """\
                log.exception("the card of %s could not be shown", subject)
                self._forget(subject, seen)
                return
""",
            ),
        ),
        tests=(
            "tests/bot/test_last_words.py::test_a_card_that_cannot_be_drawn_keeps_no_result_from_its_owner",
        ),
    ),
    Mutant(
        name="refused-card-is-an-error",
        breaks="A card that the platform refuses holds up its chat for ever.",
        promise=Promise.TOLD,
        path="bot/screen/board.py",
        swaps=(
            (
                """\
                log.exception("the card of %s was refused", card.subject)
                self.change(card.subject, shown={"fingerprint": view.fingerprint})
""",
                """\
                raise
""",
            ),
        ),
        tests=("tests/bot/test_notifier.py::test_a_refused_card_does_not_stop_the_end",),
    ),
    Mutant(
        name="not-modified-is-failure",
        breaks="An edit that changes nothing counts as refused.",
        promise=Promise.TOLD,
        path="bot/screen/message.py",
        swaps=(
            (
                'return "message is not modified" in error.message.lower()',
                'return "message is not modified" in error.message',
            ),
            (
                "        if is_unchanged(error):\n            return media\n",
                "        if is_unchanged(error):\n            return GONE\n",
            ),
        ),
        tests=("tests/bot/test_notifier.py::test_not_modified_is_success",),
    ),
    Mutant(
        name="429-freezes-every-chat",
        breaks="A 429 of one chat holds up all others.",
        promise=Promise.TOLD,
        path="bot/screen/traffic.py",
        swaps=(
            (
                "frozen_s = self._frozen.get(chat, -math.inf) - now",
                "frozen_s = max(self._frozen.values(), default=-math.inf) - now",
            ),
        ),
        tests=("tests/bot/test_chat.py::test_a_429_freezes_its_chat_for_everybody_to_the_second",),
    ),
    Mutant(
        name="429-not-obeyed",
        breaks="After a 429 a chat is written to before its time is over.",
        promise=Promise.TOLD,
        path="bot/screen/traffic.py",
        swaps=(
            (
                "max(self._frozen.get(chat, -math.inf), _now() + seconds)",
                "max(self._frozen.get(chat, -math.inf), _now() + min(seconds, 5.0))",
            ),
        ),
        tests=("tests/bot/test_chat.py::test_a_429_freezes_its_chat_for_everybody_to_the_second",),
    ),
    Mutant(
        name="result-told-at-most-once",
        breaks="A result whose sending a crash cut short is not sent again.",
        promise=Promise.TOLD,
        path="bot/screen/chat.py",
        swaps=(
            (
                "if exhibit is None or exhibit.card.finished or not exhibit.ended:",
                "if exhibit is None or exhibit.card.delivering_at or not exhibit.ended:",
            ),
        ),
        tests=(
            "tests/bot/test_notifier.py::test_a_kill_between_sending_and_remembering_repeats_the_result_once",
        ),
    ),
    Mutant(
        name="cards-forgotten-at-restart",
        breaks="What happened while the bot was down is not told when it is back.",
        promise=Promise.TOLD,
        path="bot/screen/notifier.py",
        swaps=(
            (
                "                            self.poke(card.subject)\n",
                "                            self._board.find_card(card.subject)\n",
            ),
        ),
        tests=("tests/bot/test_notifier.py::test_what_happened_while_the_bot_was_down_is_told",),
    ),
)
