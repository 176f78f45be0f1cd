"""The checks of a run are worth something only if they see what is wrong."""

import hashlib
from types import SimpleNamespace

import pytest

from bot.sandbox.views import Entry, Message
from controller.states import AttemptState, JobState, MachineState
from tests.chaos import promises
from tests.chaos.people import CRASHED, Errand, Wish
from tests.chaos.screen import Screen
from tests.e2e.chatting import make_tiny

CHAT = 7


class Chat:
    """A chat in which the bot says whatever is wanted."""

    def __init__(self):
        self.screen = Screen(None)
        sent = Message({"message_id": 1, "chat": {"id": CHAT}}, False, ())
        self.errands = [Errand(CHAT, Wish.START, sent, ended=True)]

    def say(self, text, *, number=2, data=(), media=None, kind="send"):
        keyboard = [[{"text": each, "callback_data": each} for each in data]]
        raw = {
            "message_id": number, "chat": {"id": CHAT}, "text": text, "from": {"is_bot": True},
            "reply_to_message": {"message_id": 1}, "reply_markup": {"inline_keyboard": keyboard},
        }  # fmt: skip
        if media:
            raw[media] = {}
        entry = {"seq": number, "at": 0, "chat_id": CHAT, "by": "bot", "kind": kind,
                 "message_id": number, "text": text, "message": raw}  # fmt: skip
        self.screen.entries.append(Entry.parse(entry))
        self.screen.messages[CHAT, number] = Message(raw, True, ())

    def card(self, text="▶", number=2, kind="send"):
        self.say(text, number=number, data=["j:ask:1"], kind=kind)

    def result(self, number=3):
        self.say("✅ film", number=number, data=["j:again:1"], media="video")


@pytest.fixture
def chat():
    return Chat()


def job(**changes):
    usual = {
        "id": "J", "chat": CHAT, "reply_to": 1, "state": JobState.DONE, "sample_of": None,
        "output_key": "output/j.mp4", "output_bytes": 0, "output_sha256": "", "result": None,
    }  # fmt: skip
    return SimpleNamespace(**(usual | changes))


def test_what_comes_twice_is_counted(chat):
    chat.card()
    chat.result()
    assert promises.count_doubled(chat.screen, [job()], chat.errands) == 0
    chat.result(number=4)
    chat.card(number=5)
    chat.card(number=5, kind="edit")
    chat.say("🧪 Sample: film", number=6)
    assert promises.count_doubled(chat.screen, [job()], chat.errands) == 3


def test_a_card_that_shows_an_earlier_state_after_the_end_is_seen(chat):
    chat.card("▶ 50 %")
    chat.card("✅ Done", kind="edit")
    assert list(promises.find_disorder(chat.screen, chat.errands)) == []
    chat.card("▶ 60 %", kind="edit")
    assert len(list(promises.find_disorder(chat.screen, chat.errands))) == 1


def test_a_result_that_is_missing_or_not_due_is_seen(chat):
    chat.card()
    assert len(list(promises.find_unsent(chat.screen, [job()], chat.errands))) == 1
    chat.result()
    assert list(promises.find_unsent(chat.screen, [job()], chat.errands)) == []
    cancelled = job(state=JobState.CANCELLED)
    assert len(list(promises.find_unsent(chat.screen, [cancelled], chat.errands))) == 1


def test_a_video_without_a_word_is_seen(chat):
    assert len(list(promises.find_unanswered(chat.screen, [], chat.errands))) == 1
    chat.card()
    assert len(list(promises.find_unanswered(chat.screen, [], chat.errands))) == 1
    assert list(promises.find_unanswered(chat.screen, [job()], chat.errands)) == []
    chat.say(CRASHED, number=3)
    assert list(promises.find_unanswered(chat.screen, [], chat.errands)) == []


def test_an_output_that_is_gone_changed_or_broken_is_seen(tmp_path):
    data = make_tiny(tmp_path / "a.mp4", seconds=0.5).read_bytes()
    made = job(
        output_bytes=len(data), output_sha256=hashlib.sha256(data).hexdigest(),
        result=SimpleNamespace(facts=SimpleNamespace(frames=12)),
    )  # fmt: skip
    stored = {made.output_key: data}
    house = SimpleNamespace(home=tmp_path, read_output=stored.get, outputs=lambda: list(stored))
    assert list(promises.find_bad_outputs(house, [made])) == []
    assert list(promises.find_strays(house, [made])) == []
    made.result.facts.frames = 13
    assert "does not play" in next(promises.find_bad_outputs(house, [made]))
    stored[made.output_key] = data[:-1] + b"\xff"
    assert "another hash" in next(promises.find_bad_outputs(house, [made]))
    stored.clear()
    assert "has None bytes" in next(promises.find_bad_outputs(house, [made]))
    stored["output/other.mp4"] = b""
    assert list(promises.find_strays(house, [made])) == ["output/other.mp4"]


def test_what_did_not_end_and_what_is_left_is_seen():
    attempts = [SimpleNamespace(number=1, state=AttemptState.RUNNING)]
    machine = SimpleNamespace(id="M", state=MachineState.RETIRING, retire_reason="idle")
    house = SimpleNamespace(
        remains=lambda: ["process 1"],
        store=SimpleNamespace(
            attempts=SimpleNamespace(of_job=lambda _: attempts),
            machines=SimpleNamespace(select=lambda _: [machine]),
        ),
    )
    assert len(list(promises.find_unended(house, [job()]))) == 1
    attempts.clear()
    assert list(promises.find_unended(house, [job()])) == []
    assert len(list(promises.find_unended(house, [job(state=JobState.QUEUED)]))) == 1
    assert list(promises.find_machines(house)) == ["process 1", "M is retiring: idle"]


def test_an_event_that_no_chat_was_shown_and_a_card_that_is_not_finished_are_seen():
    told, card = {"notifier": 4}, SimpleNamespace(finished=True)
    store = SimpleNamespace(
        events=SimpleNamespace(cursor=told.get, newest=lambda: 4),
        cards=SimpleNamespace(get=lambda _: card),
    )
    house = SimpleNamespace(store=store)
    assert list(promises.find_unshown(house, [job()])) == []
    told["notifier"] = 3
    assert list(promises.find_unshown(house, [job()])) == ["chats were shown 3 of 4 events"]
    told["notifier"], card.finished = 4, False
    assert len(list(promises.find_unshown(house, [job()]))) == 1


def test_more_machines_at_a_time_than_the_cap_allows_are_seen():
    lives = [(0.0, 9.0), (1.0, 9.0), (2.0, 5.0), (5.0, 9.0)]
    house = SimpleNamespace(lives=lambda: lives)
    assert list(promises.find_crowding(house)) == []
    lives.append((8.0, float("inf")))
    assert list(promises.find_crowding(house)) == ["4 at a time"]


def test_a_machine_that_cost_more_than_was_set_aside_is_seen():
    machine = SimpleNamespace(
        id="M", label="L", created_at=0.0, gone_at=7200.0, usd_per_hour=0.1, traffic_usd=0.1,
        reserved_usd=0.3,
    )  # fmt: skip
    store = SimpleNamespace(machines=SimpleNamespace(select=lambda _: [machine]))
    bills = {"L": 0.3}
    house = SimpleNamespace(store=store, billed_usd=bills.get)
    assert list(promises.find_overspent(house)) == []
    machine.traffic_usd = 0.2
    assert len(list(promises.find_overspent(house))) == 1
    machine.traffic_usd, bills["L"] = 0.1, 0.4
    assert list(promises.find_overspent(house)) == ["M: $0.400 of $0.300"]


def test_tracebacks_secrets_and_twins_are_seen(tmp_path):
    log = ["INFO fine"]
    creates = [SimpleNamespace(label="a"), SimpleNamespace(label="b")]
    house = SimpleNamespace(
        home=tmp_path, name="rented", secrets=["K004secret"], log=lambda: "\n".join(log),
        vast=SimpleNamespace(creates=creates),
    )  # fmt: skip
    checks = (promises.find_trouble, promises.find_secrets, promises.find_twins)
    assert [list(check(house)) for check in checks] == [[], [], []]
    log += ["Traceback (most recent call last):", "key K004secret"]
    creates.append(creates[0])
    assert [len(list(check(house))) for check in checks] == [1, 1, 1]
