import dataclasses
import itertools
from fractions import Fraction

import pytest

from bot.cards.choices import (
    Quality,
    Setting,
    choose,
    find_code,
    find_quality,
    fit_task,
    is_sensible,
    list_codes,
    list_settings,
)
from bot.cards.options import draw_options, show_choice
from bot.texts import LANGUAGES
from remote_runner.protocol import DENOISABLE, MODELS, Mode, Task
from tests.controller.conftest import FACTS

TASKS = [
    Task(mode=mode, model=model, codec=codec, container=container)
    for mode, model, codec, container in itertools.product(
        Mode, ("auto", DENOISABLE), ("auto", "av1"), ("auto", "mkv", "webm")
    )
]


def reach(task, facts=None):
    """Every task that one choice leads to."""
    for setting in list_settings(task):
        for code in list_codes(setting, task, facts):
            yield setting, code, choose(setting, code, task)


def test_whatever_is_offered_can_be_carried_out_and_is_found_again():
    for task in TASKS:
        for setting, code, chosen in reach(task):
            assert chosen.problems() == [], (task, setting, code)
            if setting in list_settings(chosen):
                assert find_code(setting, chosen) == code


def test_two_choices_in_a_row_never_lead_to_what_cannot_be_carried_out():
    for task in TASKS[:6]:
        for _, _, once in reach(task):
            for _, _, twice in reach(once):
                assert twice.problems() == []


def test_only_what_a_mode_needs_is_asked():
    assert Setting.RATE not in list_settings(Task())
    assert Setting.SIZE not in list_settings(Task(mode=Mode.INTERP))
    both = list_settings(Task(mode=Mode.BOTH, model=DENOISABLE))
    assert both == list(Setting)
    assert list_codes(Setting.RATE, Task()) == []


def test_nothing_that_makes_a_video_less_is_offered():
    facts = dataclasses.replace(FACTS, width=1920, height=1080, fps="50/1")
    task = Task(mode=Mode.BOTH)
    assert list_codes(Setting.SIZE, task, facts) == ["x2", "x4", "1440p", "4k"]
    assert list_codes(Setting.RATE, task, facts) == ["f2", "f4", "60", "same"]
    upright = dataclasses.replace(facts, width=1080, height=1920)
    assert list_codes(Setting.SIZE, task, upright) == ["x2", "x4", "1440p", "4k"]
    assert list_codes(Setting.SIZE, task, FACTS)[2:] == ["720p", "1080p", "1440p", "4k"]
    # what is chosen already stays in sight
    assert "720p" in list_codes(Setting.SIZE, Task(size="720p"), facts)


def test_a_task_of_another_video_gives_way_where_it_makes_no_sense():
    facts = dataclasses.replace(FACTS, width=1920, height=1080, fps="60/1")
    task = Task(mode=Mode.BOTH, size="1080p", fps="60", codec="hevc")
    fitted = fit_task(task, facts)
    assert fitted == Task(mode=Mode.BOTH, codec="hevc")
    assert is_sensible(fitted, facts) and not is_sensible(task, facts)
    assert fit_task(task, FACTS) == task


@pytest.mark.parametrize("rate", ["0/0", "x"])
def test_a_video_of_an_unknown_rate_is_offered_every_rate(rate):
    facts = dataclasses.replace(FACTS, fps=rate, sar="0:1")
    assert list_codes(Setting.RATE, Task(mode=Mode.INTERP), facts)[2:] == ["50", "60", "same"]
    assert "4k" in list_codes(Setting.SIZE, Task(), facts)


def test_quality_follows_the_codec():
    task = choose(Setting.QUALITY, Quality.HIGH, Task())
    crfs = {}
    for codec in ("h264", "hevc", "av1"):
        chosen = choose(Setting.CODEC, codec, task)
        assert find_quality(chosen) is Quality.HIGH
        crfs[codec] = chosen.crf
    assert crfs == {"h264": 14, "hevc": 16, "av1": 22}
    assert find_quality(Task(crf=1)) is None
    assert choose(Setting.CODEC, "av1", Task(crf=1)).crf is None


def test_denoise_goes_with_its_model():
    task = choose(Setting.DENOISE, "half", Task(model=DENOISABLE))
    assert task.denoise == 0.5
    assert choose(Setting.MODEL, "starter", task).denoise is None
    assert Setting.DENOISE not in list_settings(Task())


@pytest.mark.parametrize("code", ["x3", "", "8k", "../../etc"])
def test_made_up_codes_are_refused(code):
    with pytest.raises(ValueError, match="size has no"):
        choose(Setting.SIZE, code, Task())


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_of_every_task_fits_in_a_message(texts, house, language):
    job = await house.draft()
    for task in TASKS:
        for page in ("options", *Setting, "nonsense"):
            for owner in (job, None):
                view = draw_options(task, page, texts[language], owner)
                assert 0 < len(view.text.render()[0]) < 1500
                rows = view.keyboard.inline_keyboard
                assert all(0 < len(row) <= 2 for row in rows)
                for button in itertools.chain(*rows):
                    assert 1 <= len(button.callback_data.encode()) <= 64
                    assert button.text.strip()


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_value_is_said_in_words_of_its_own(texts, language):
    task = Task(mode=Mode.BOTH, model=DENOISABLE)
    for setting in Setting:
        shown = [show_choice(setting, code, texts[language]) for code in list_codes(setting, task)]
        assert len(set(shown)) == len(shown) > 1


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_of_the_catalog_can_be_chosen(model):
    task = choose(Setting.MODEL, model, Task())
    assert task.model == model
    assert task.what(Fraction(24)) == "x2"
