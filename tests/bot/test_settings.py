import pytest

from bot.client import make_bot
from bot.settings import load_bot_settings
from controller.errors import SettingsError
from tests.bot.stage import TOKEN, RecordingSession

GOOD = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_ADMINS": "1, 2", "TELEGRAM_USERS": "3"}


def test_settings_are_read():
    settings = load_bot_settings({**GOOD, "TELEGRAM_API_URL": "http://127.0.0.1:8081/"})
    assert settings.api_url == "http://127.0.0.1:8081"
    assert settings.is_user(1)
    assert settings.is_user(3)
    assert settings.is_admin(2)
    assert not settings.is_admin(3)
    assert not settings.is_user(4)


def test_all_mistakes_come_at_once():
    env = {
        "TELEGRAM_API_URL": "ftp://x",
        "TELEGRAM_ADMINS": "bob",
        "TELEGRAM_LOCAL_FILES": "maybe",
    }
    with pytest.raises(SettingsError) as caught:
        load_bot_settings(env)
    assert [line.split()[0] for line in caught.value.problems] == [
        "TELEGRAM_BOT_TOKEN", "TELEGRAM_API_URL", "TELEGRAM_LOCAL_FILES", "TELEGRAM_ADMINS",
    ]  # fmt: skip
    assert "BotFather" in caught.value.problems[0]


def test_nobody_to_serve_is_a_mistake():
    with pytest.raises(SettingsError, match="TELEGRAM_ADMINS or TELEGRAM_USERS"):
        load_bot_settings({"TELEGRAM_BOT_TOKEN": TOKEN})


def test_a_bad_token_is_not_shown():
    with pytest.raises(SettingsError) as caught:
        load_bot_settings({**GOOD, "TELEGRAM_BOT_TOKEN": "no colon secret"})
    assert "secret" not in str(caught.value)
    assert TOKEN not in repr(load_bot_settings(GOOD))


def test_a_local_server_lifts_the_limits():
    local = load_bot_settings({**GOOD, "TELEGRAM_LOCAL_FILES": "true"})
    assert local.download_limit > 10**9
    assert load_bot_settings(GOOD).download_limit == 20 * 1024**2


def test_messages_have_no_markup_and_no_previews():
    bot = make_bot(load_bot_settings(GOOD), RecordingSession())
    assert bot.default.parse_mode is None
    assert bot.default.link_preview_is_disabled
