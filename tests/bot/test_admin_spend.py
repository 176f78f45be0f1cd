import io

import pytest
from aiogram.exceptions import TelegramBadRequest
from PIL import Image

from bot.cards import spend
from bot.cards.admin_callbacks import SpendPress
from bot.cards.spend import PersonSpend, SpendReport, draw_chart, draw_spend
from bot.texts import LANGUAGES
from controller.providers.base import InstanceStatus
from tests.bot.stage import ADMIN, USER, Stage, buttons


@pytest.fixture
def stage(rented, bot_settings):
    return Stage(rented, bot_settings)


def open_picture(file):
    return Image.open(io.BytesIO(file.data))


async def test_spend_is_a_picture_with_its_figures(stage):
    await stage.say(USER, text="/help")
    house = stage.house
    await house.queued("a.mp4", owner=USER)
    await house.tick()
    house.provider.show(house.machine().instance, status=InstanceStatus.RUNNING)
    house.clock.advance(7200)
    await stage.say(ADMIN, text="/spend", language="en")
    (sent,) = stage.session.named("sendPhoto")
    lines = sent.caption.split("\n")
    assert lines[:4] == ["💸 Spending", "Today: $0.12", "7 days: $0.12", "30 days: $0.12"]
    assert lines[4:6] == ["Days are UTC.", ""]
    assert lines[6:8] == ["By user, in 14 days", "• A: $0.12, 1 job"]
    assert sent.parse_mode is None
    assert buttons(sent) == ["7 days", "✓ 14 days", "30 days"]
    picture = open_picture(sent.photo)
    assert picture.size == (1080, 810)
    colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert (0x1F, 0x5A, 0xA6) in colours and (255, 255, 255) in colours


async def test_other_spans_change_the_same_message(stage):
    await stage.say(ADMIN, text="/spend")
    for days in spend.SPANS:
        await stage.feed(stage.press(SpendPress(days=days).pack(), ADMIN))
    edits = stage.session.named("editMessageMedia")
    assert [each.message_id for each in edits] == [1000] * 3
    assert "✓ 30 дней" in buttons(edits[-1])
    assert edits[-1].media.caption.startswith("💸 Расходы\nСегодня: 0,00 $")
    await stage.feed(stage.press(SpendPress(days=90).pack(), ADMIN))
    assert stage.session.named("answerCallbackQuery")[-1].text == "Эта кнопка уже не действует."
    assert len(stage.session.named("editMessageMedia")) == 3


async def test_the_same_span_again_is_no_trouble(stage):
    stage.session.faults["editMessageMedia"].append(
        TelegramBadRequest(method=None, message="Bad Request: message is not modified")
    )
    await stage.feed(stage.press(SpendPress(days=14).pack(), ADMIN))
    assert len(stage.session.named("answerCallbackQuery")) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_chart_is_written_in_the_readers_language(house, texts, language, monkeypatch):
    from matplotlib.axes import Axes

    written = []
    set_title = Axes.set_title

    def note(axes, text, **more):
        written.append(text)
        return set_title(axes, text, **more)

    monkeypatch.setattr(Axes, "set_title", note)
    for span in spend.SPANS:
        assert (
            draw_chart(house.controller.spending.by_day(span), texts[language])[:4] == b"\x89PNG"
        )
    assert written[1] == {"en": r"In 14 days: \$0.00", "ru": r"За 14 дней: 0,00 \$"}[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_many_people_with_long_names_fit_in_a_caption(house, texts, language):
    report = SpendReport(
        days=house.controller.spending.by_day(30), today_usd=1e5, week_usd=1e6, month_usd=1e7,
        people=[PersonSpend(name="𝕏" * 90, usd=1e5 + n, jobs=10**6) for n in range(40)],
        house_usd=3.5,
    )  # fmt: skip
    view = draw_spend(report, texts[language])
    text, _ = view.text.render()
    assert len(text.encode("utf-16-le")) // 2 <= 1024
    assert text.count("𝕏") > 200
