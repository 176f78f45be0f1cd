import pytest

from bot.cards.callbacks import Act, PathPress
from bot.defaults import find_task
from bot.handlers.submit import COMMANDS
from controller.states import JobState
from remote_runner.protocol import Mode, Task
from tests.bot.stage import OTHER, USER, Stage, buttons, make_video
from tests.bot.taps import find_button, last_toast, tap_card
from tests.bot.test_notifier import finish, is_finished, running

BIG = 30 * 1024**2
TASKS = {
    "upscale": Task(), "x2": Task(), "x4": Task(scale=4), "smooth": Task(mode=Mode.INTERP),
    "both": Task(mode=Mode.BOTH),
}  # fmt: skip


def as_reply(to, user=USER, **content):
    """What a message carries that replies to another one."""
    sender = {"id": user, "is_bot": False, "first_name": "A"}
    message = {"message_id": to, "date": 1, "chat": {"id": user, "type": "private"}}
    return {"reply_to_message": {**message, "from": sender, **content}}


def newest(stage, user=USER):
    return stage.house.controller.jobs(owner=user)[0]


@pytest.mark.parametrize("command", sorted(COMMANDS))
async def test_a_command_in_the_caption_sets_the_task(stage, command):
    await stage.say(video=make_video(), caption=f"/{command}@noxfvr_bot please")
    assert newest(stage).task == TASKS[command]
    assert newest(stage).state is JobState.DRAFT


@pytest.mark.parametrize("caption", ["/x44", "x4", "see /x4", "/status"])
async def test_other_captions_are_only_talk(stage, caption):
    await stage.say(video=make_video(), caption=caption)
    assert newest(stage).task == Task()


@pytest.mark.parametrize("command", sorted(COMMANDS))
async def test_a_reply_to_an_older_video_takes_it_in_with_that_task(stage, command):
    await stage.say(text=f"/{command}", **as_reply(500, video=make_video("old.mp4")))
    job = newest(stage)
    assert (job.task, job.source_name) == (TASKS[command], "old.mp4")
    assert stage.session.named("setMessageReaction")
    # what is said in passing is no wish for the next video
    assert find_task(stage.house.controller, USER) == Task()


async def test_a_reply_to_a_video_that_has_its_plan_changes_that(stage):
    async with stage.showing():
        job = await stage.plan()
        first = stage.house.controller.card(job.id).message
        again = as_reply(job.reply_to, video=make_video())
        await stage.say(text="/x4", **again)
        await stage.until(lambda: stage.house.controller.card(job.id).message not in (None, first))
        await stage.until(stage.shows(job, "1280×720"))
        dropped = stage.session.named("editMessageReplyMarkup")[0]
        assert (dropped.message_id, dropped.reply_markup) == (first, None)
        await stage.say(text="/both", **as_reply(stage.house.controller.card(job.id).message))
        await stage.until(lambda: stage.house.job(job).task.mode is Mode.BOTH)
    assert stage.house.controller.jobs(owner=USER) == [stage.house.job(job)]


async def test_a_reply_to_a_result_makes_a_new_plan_of_the_same_video(stage):
    job = await running(stage)
    await finish(stage, job)
    async with stage.showing():
        await stage.until(is_finished(stage, job))
        await stage.say(text="/x4", **as_reply(job.reply_to, video=make_video()))
        draft = newest(stage)
        assert draft.id != job.id
        await stage.until(
            lambda: (card := stage.house.controller.card(draft.id)) and card.message is not None
        )
        await stage.until(stage.shows(draft, "1280×720"))
    assert (draft.source_key, draft.task.scale) == (job.source_key, 4)
    assert stage.session.named("getFile").__len__() == 1


async def test_a_command_with_a_path_takes_that(stage):
    path = stage.house.settings.storage_dir / "input" / "c1" / "a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(stage.session.file_bytes)
    await stage.say(text="/smooth input/c1/a.mp4")
    assert (newest(stage).task, newest(stage).source_key) == (TASKS["smooth"], "input/c1/a.mp4")
    await stage.say(text="/x4", **as_reply(77, text="input/c1/a.mp4"))
    assert newest(stage).task == TASKS["x4"]


@pytest.mark.parametrize("reply", [{}, as_reply(5, text="hello"), as_reply(5, photo=[])])
async def test_a_command_without_a_video_says_how_it_is_meant(stage, reply):
    await stage.say(text="/x4", **reply)
    assert stage.session.sent[-1].text.startswith("Ответьте этой командой на видео")


async def test_the_same_command_again_after_a_crash_makes_one_job(stage):
    raw = stage.message(text="/x4", **as_reply(500, video=make_video()))
    await stage.feed(raw)
    await stage.feed(raw)
    assert len(stage.house.controller.jobs(owner=USER)) == 1
    assert len(stage.session.sent) == 1


@pytest.fixture
def public(house, bot_settings):
    house.change(public_url="https://bot.example.com")
    return Stage(house, bot_settings)


async def test_a_file_over_the_limit_gets_a_page_inside_the_private_chat(public):
    await public.say(video=make_video(size=BIG))
    (shown,) = public.session.screen.values()
    assert "Файл слишком большой для этого чата: 31,5 МБ." in shown.text
    assert buttons(shown) == ["Страница загрузки", "Как прислать путь"]
    button = find_button(shown, "Страница")
    assert button.web_app.url.startswith("https://bot.example.com/u/")
    assert public.session.named("getFile") == []


async def test_in_a_group_the_page_is_a_link(public):
    await public.say(video=make_video(size=BIG), chat=-5, kind="supergroup")
    (shown,) = public.session.screen.values()
    button = find_button(shown, "Страница")
    assert button.web_app is None
    assert button.url.startswith("https://bot.example.com/u/")


async def test_without_https_the_page_is_a_link_as_well(house, bot_settings):
    house.change(public_url="http://10.0.0.5:8080")
    stage = Stage(house, bot_settings)
    await stage.say(video=make_video(size=BIG))
    (shown,) = stage.session.screen.values()
    assert find_button(shown, "Страница").url.startswith("http://10.0.0.5:8080/u/")


async def test_the_same_file_again_gets_the_same_page(public):
    raw = public.message(video=make_video(size=BIG))
    await public.feed(raw)
    first = find_button(public.session.screen[USER, 1000], "Страница").web_app.url
    await public.feed(raw)
    assert find_button(public.session.screen[USER, 1000], "Страница").web_app.url == first
    assert len(public.session.sent) == 1


def under(public, shown, user=USER, owner=USER):
    """A press on the way by storage, with the message as Telegram shows it."""
    raw = public.press(find_button(shown, "путь").callback_data, user, chat=USER)
    message = raw["callback_query"]["message"]
    message["text"] = shown.text
    message["reply_markup"] = shown.reply_markup.model_dump(exclude_none=True)
    sender = {"id": owner, "is_bot": False, "first_name": "A"}
    message["reply_to_message"] = {
        "message_id": 1, "date": 1, "chat": message["chat"], "from": sender,
    }  # fmt: skip
    return raw


async def test_how_to_send_a_path_opens_on_the_card_and_the_page_stays(public):
    await public.say(video=make_video(size=BIG))
    before = public.session.screen[USER, 1000]
    await public.feed(under(public, before))
    after = public.session.screen[USER, 1000]
    assert after.text.startswith(before.text)
    assert (
        "Или положите его в хранилище и пришлите путь, например input/c1/film.mp4." in after.text
    )
    assert buttons(after) == ["Страница загрузки"]
    await public.feed(under(public, before, OTHER))
    assert last_toast(public) == "Такой задачи нет, или она не ваша."
    await public.feed(public.press(PathPress(size=5).pack()))
    assert public.session.screen[USER, 1000].text.count("film.mp4") == 1


async def test_an_unknown_size_gets_the_page_too(public):
    from aiogram.exceptions import TelegramBadRequest

    public.session.faults["getFile"].append(
        TelegramBadRequest(method=None, message="Bad Request: file is too big")
    )
    await public.say(video={**make_video(), "file_size": None})
    (shown,) = public.session.screen.values()
    assert shown.text.startswith("Файл слишком большой для этого чата: через Telegram")
    assert "Страница загрузки" in buttons(shown)


async def test_a_file_that_came_by_the_page_gets_one_card_that_answers_the_message(public):
    from controller.records import Request
    from tests.controller.conftest import write_video

    await public.say(video=make_video(size=BIG))
    request = Request(key="web:tg:7:1", owner=USER, chat=USER, language="ru", reply_to=1)
    async with public.showing():
        job = await public.house.controller.accept_upload(
            request, name="big.mp4", size=1000, fetch=write_video
        )
        await public.until(
            lambda: (card := public.house.controller.card(job.id)) and card.message is not None
        )
        sent = public.session.named("sendMessage")[-1]
        assert sent.reply_parameters.message_id == 1
        await tap_card(public, job, "Старт")
    assert public.house.job(job).state is JobState.QUEUED


async def test_without_a_public_address_the_way_by_storage_is_explained_at_once(stage):
    await stage.say(video=make_video(size=BIG))
    (shown,) = stage.session.screen.values()
    assert "Положите его в хранилище и пришлите путь" in shown.text
    assert buttons(shown) == []


async def test_a_forwarded_video_is_a_video(stage):
    origin = {
        "type": "user", "date": 1,
        "sender_user": {"id": 99, "is_bot": False, "first_name": "B"},
    }  # fmt: skip
    await stage.say(video=make_video("f.mp4"), forward_origin=origin)
    assert newest(stage).source_name == "f.mp4"


async def test_redo_of_an_old_draft_by_reply_is_not_confused_with_others(stage):
    job = await stage.plan()
    await stage.plan(OTHER, name="theirs.mp4")
    await stage.tap(job, Act.ASK)
    await stage.say(text="/x4", **as_reply(job.reply_to, video=make_video()))
    assert newest(stage).id != job.id
    assert newest(stage).task.scale == 4
    assert newest(stage, OTHER).task == Task()
