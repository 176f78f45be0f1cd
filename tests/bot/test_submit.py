import asyncio
import errno

import aiohttp
import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramNetworkError
from aiogram.methods import GetFile
from yarl import URL

from bot.feed.intake import find_stored_path, locate_local
from bot.settings import BotSettings
from controller.states import JobState
from tests.bot.stage import TOKEN, USER, VIDEO_BYTES, Stage, buttons, make_video
from tests.controller.conftest import video

RU_PATH_HINT = "input/c1/film.mp4"


async def test_a_video_becomes_a_plan_card(stage):
    async with stage.showing():
        await stage.say(video=make_video())
        (job,) = stage.house.controller.jobs(owner=USER)
        await stage.until(stage.shows(job, "Старт"))
    card = stage.card_of(job)
    assert "🎬 clip.mp4\n320×180 · 24 к/с · 10 с · H.264 · 1 кБ\n" in card.text
    assert "Звук: aac/rus" in card.text
    assert "Станет: 640×360, 24 к/с" in card.text
    assert buttons(card) == [
        "✓ ×2", "×4", "Кадры ×2", "×2 и кадры ×2", "Старт", "Сначала проба", "Настройки",
        "Отменить",
    ]  # fmt: skip
    styles = [b.style for row in card.reply_markup.inline_keyboard[2:] for b in row]
    assert styles == ["success", "primary", None, "danger"]
    assert all(
        len(b.callback_data.encode()) <= 64 for r in card.reply_markup.inline_keyboard for b in r
    )


async def test_the_answer_is_quick_silent_and_one_message(stage):
    job = await stage.plan()
    (reaction,) = stage.session.named("setMessageReaction")
    assert reaction.reaction[0].emoji == "👀"
    (sent,) = stage.session.sent
    assert sent.disable_notification
    assert sent.reply_parameters.message_id == job.reply_to
    assert stage.house.controller.card(job.id).message == 1000


async def test_a_failed_reaction_does_not_matter(stage):
    stage.session.faults["setMessageReaction"].append(
        TelegramBadRequest(method=None, message="Bad Request: REACTION_INVALID")
    )
    assert (await stage.plan()).state is JobState.DRAFT


@pytest.mark.parametrize(
    "content",
    [
        {"document": {"file_id": "f", "file_unique_id": "u", "mime_type": "video/x-matroska"}},
        {"document": {"file_id": "f", "file_unique_id": "u", "file_name": "A.MKV"}},
        {"animation": make_video("a.gif.mp4")},
        {"video_note": {"file_id": "f", "file_unique_id": "u", "length": 240, "duration": 3}},
        {
            "video": make_video(),
            "forward_origin": {"type": "hidden_user", "date": 1, "sender_user_name": "x"},
        },
    ],
)
async def test_every_way_to_send_a_video_is_taken(stage, content):
    await stage.say(**content)
    (job,) = stage.house.controller.jobs(owner=USER)
    assert job.state is JobState.DRAFT


async def test_the_same_update_again_makes_nothing_twice(stage):
    raw = await stage.say(video=make_video())
    await stage.feed(raw)
    assert len(stage.house.controller.jobs(owner=USER)) == 1
    assert len(stage.session.sent) == 1


async def test_a_kill_while_the_file_is_fetched_keeps_the_reply(stage):
    async def die(method):
        raise asyncio.CancelledError

    stage.session.faults["getFile"].append(die)
    raw = stage.message(video=make_video())
    with pytest.raises(asyncio.CancelledError):
        await stage.feed(raw)
    stage.restart()
    await stage.feed(raw)
    (job,) = stage.house.controller.jobs(owner=USER)
    assert len(stage.session.sent) == 1
    assert stage.house.controller.card(job.id).message == 1000


async def test_a_kill_before_the_card_is_bound_finds_the_same_job(stage, monkeypatch):
    raw = stage.message(video=make_video())
    monkeypatch.setattr(stage.house.controller, "save_card", lambda card: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await stage.feed(raw)
    stage.restart()
    await stage.feed(raw)
    (job,) = stage.house.controller.jobs(owner=USER)
    assert len(stage.session.sent) == 1
    assert len(stage.session.named("getFile")) == 1
    assert stage.house.controller.card(job.id).message == 1000


async def test_a_path_in_storage_becomes_a_draft(stage):
    path = stage.house.settings.storage_dir / "input" / "c1" / "film one.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(video(width=640))
    await stage.say(text="input/c1/film one.mp4")
    (job,) = stage.house.controller.jobs(owner=USER)
    assert (job.facts.width, job.source_is_ours) == (640, False)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("input/c1/none.mp4", "По этому пути ничего нет"),
        ("input/../../etc/passwd", "Такой путь не подходит"),
        ("../secret.mp4", "Такой путь не подходит"),
    ],
)
async def test_a_bad_path_is_explained_on_the_card(stage, text, answer):
    await stage.say(text=text)
    (shown,) = stage.session.screen.values()
    assert answer in shown.text
    assert shown.reply_markup is None
    assert stage.house.controller.jobs(owner=USER) == []


async def test_a_file_that_is_no_video_is_explained_on_the_card(stage):
    stage.session.file_bytes = b"just text"
    await stage.say(video=make_video(size=9))
    (shown,) = stage.session.screen.values()
    assert shown.text.startswith("Это не видео")
    assert not list(stage.house.settings.data_dir.rglob("incoming/*"))


async def test_a_declared_oversize_is_refused_before_getfile(stage):
    await stage.say(video=make_video(size=50_000_000))
    (shown,) = stage.session.screen.values()
    assert "50 МБ" in shown.text
    assert "20 МБ" in shown.text
    assert RU_PATH_HINT in shown.text
    assert stage.session.named("getFile") == []


async def test_an_undeclared_oversize_is_told_too(stage):
    stage.session.faults["getFile"].append(
        TelegramBadRequest(method=None, message="Bad Request: file is too big")
    )
    await stage.say(video=make_video(size=None))
    (shown,) = stage.session.screen.values()
    assert "до 20 МБ" in shown.text


async def test_a_file_over_the_own_limit_is_refused(house):
    settings = BotSettings(token=TOKEN, users=frozenset({USER}), local_files=True)
    stage = Stage(house, settings)
    object.__setattr__(house.settings, "max_input_gb", 0.001)
    await stage.say(video=make_video(size=2_000_000), language="en")
    (shown,) = stage.session.screen.values()
    assert shown.text == "The file is over the limit: I take up to 1 MB."


async def test_a_failed_download_never_shows_the_token(stage, caplog, monkeypatch):
    monkeypatch.setattr("bot.feed.intake._TRIES", 1)
    url = URL(f"https://api.telegram.org/file/bot{TOKEN}/videos/1.mp4")
    info = aiohttp.RequestInfo(url, "GET", None, url)
    stage.session.stream_error = aiohttp.ClientResponseError(info, (), status=404)
    await stage.say(video=make_video())
    (shown,) = stage.session.screen.values()
    assert shown.text.startswith("Не удалось получить файл")
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(stage.session.calls)


async def test_a_short_download_is_not_taken(stage, monkeypatch):
    monkeypatch.setattr("bot.feed.intake._TRIES", 1)

    original = stage.session._answer

    async def answer(bot, method):
        result = await original(bot, method)
        if isinstance(method, GetFile):
            stage.session.file_bytes = VIDEO_BYTES[:-1]
        return result

    monkeypatch.setattr(stage.session, "_answer", answer)
    await stage.say(video=make_video())
    (shown,) = stage.session.screen.values()
    assert shown.text.startswith("Не удалось получить файл")
    assert stage.house.controller.jobs(owner=USER) == []


async def test_a_full_disk_is_told(stage):
    stage.session.stream_error = OSError(errno.ENOSPC, "No space left on device")
    await stage.say(video=make_video())
    (shown,) = stage.session.screen.values()
    assert shown.text.startswith("На сервере не хватает места")


async def test_an_outage_is_left_to_the_inbox(stage):
    stage.session.faults["getFile"].append(TelegramNetworkError(method=None, message="reset"))
    with pytest.raises(TelegramNetworkError):
        await stage.say(video=make_video())


async def test_a_user_who_blocked_the_bot_is_left_alone(stage):
    stage.session.faults["sendMessage"].append(
        TelegramForbiddenError(method=None, message="Forbidden: bot was blocked by the user")
    )
    await stage.say(video=make_video())
    assert stage.session.screen == {}


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ({"text": "hello"}, "Send a video"),
        ({"text": "/unknown"}, "Send a video"),
        (
            {
                "text": "https://example.com/a.mp4",
                "entities": [{"type": "url", "offset": 0, "length": 25}],
            },
            "I don't download videos from links",
        ),
        ({"photo": [{"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1}]}, "picture"),
        ({"voice": {"file_id": "f", "file_unique_id": "u", "duration": 1}}, "sound"),
        (
            {"document": {"file_id": "f", "file_unique_id": "u", "file_name": "a.pdf"}},
            "doesn't look like a video",
        ),
        (
            {
                "sticker": {
                    "file_id": "f", "file_unique_id": "u", "type": "regular", "width": 1,
                    "height": 1, "is_animated": False, "is_video": False,
                }
            },
            "stickers",
        ),
        ({"location": {"latitude": 1.0, "longitude": 1.0}}, "Send a video"),
    ],
)  # fmt: skip
async def test_everything_else_gets_a_hint(stage, content, answer):
    await stage.say(language="en", **content)
    (sent,) = stage.session.sent
    assert answer in sent.text


async def test_an_album_of_photos_gets_one_hint(stage):
    photo = [{"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1}]
    for _ in range(3):
        await stage.say(photo=photo, media_group_id="g")
    assert len(stage.session.sent) == 1


async def test_talk_in_a_group_is_not_answered(stage):
    await stage.say(text="hello", chat=-5, kind="group")
    assert stage.session.calls == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("input/c1/a.mp4", "input/c1/a.mp4"),
        (" b2://bucket/key ", "b2://bucket/key"),
        ("films/a b.mkv", "films/a b.mkv"),
        ("and/or", None),
        ("https://example.com/a.mp4", None),
        ("a.mp4", None),
        ("input/a.mp4\ninput/b.mp4", None),
    ],
)
def test_paths_are_told_from_talk(text, path):
    assert find_stored_path(text) == path


def test_local_files_must_lie_in_the_bots_folder(tmp_path):
    from bot.feed.intake import DownloadFailed

    home = tmp_path / TOKEN
    (home / "videos").mkdir(parents=True)
    inside = home / "videos" / "1.mp4"
    inside.write_bytes(b"x")
    outside = tmp_path / "secret"
    outside.write_bytes(b"x")
    (home / "videos" / "link").symlink_to(outside)
    assert locate_local(str(inside), TOKEN) == inside
    for path in (outside, home / ".." / "secret", home / "videos" / "link", home, "videos/1.mp4"):
        with pytest.raises(DownloadFailed):
            locate_local(str(path), TOKEN)


async def test_a_local_server_hands_files_over_by_path(house, tmp_path, monkeypatch):
    stage = Stage(house, BotSettings(token=TOKEN, users=frozenset({USER}), local_files=True))
    source = tmp_path / TOKEN / "videos" / "1.mp4"
    source.parent.mkdir(parents=True)
    source.write_bytes(VIDEO_BYTES)
    original = stage.session._answer

    async def answer(bot, method):
        result = await original(bot, method)
        if isinstance(method, GetFile):
            return result.model_copy(update={"file_path": str(source)})
        return result

    monkeypatch.setattr(stage.session, "_answer", answer)
    job = await stage.plan(size=2 * 10**8)
    stored = house.settings.storage_dir / job.source_key
    assert stored.read_bytes() == VIDEO_BYTES
    assert source.read_bytes() == VIDEO_BYTES
