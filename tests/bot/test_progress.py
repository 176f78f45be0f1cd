import dataclasses

import pytest
from aiogram.utils.formatting import Bold, Text, TextLink

from bot.cards.batch_end import split_lines
from bot.cards.progress import CAPTION_UNITS, cut
from bot.texts import LANGUAGES
from controller.states import AttemptState, JobState, Reason
from tests.bot.test_cards import attempt, draw, job, status, text_of

__all__ = ["job"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_photos_caption_fits_and_loses_the_log_first(texts, job, language):
    running = dataclasses.replace(job, state=JobState.RUNNING, source_name="🎬" * 90, attempts=3)
    lost = [attempt(n, AttemptState.LOST, reason=Reason.SILENT) for n in (1, 2)]
    values = {
        "attempts": (*lost, attempt(3, status=status(fps=12.0, eta_s=99.0))),
        "machine": "RTX 3060", "spent_usd": 0.5, "details": ("🎬" * 100,) * 12, "detailed": True,
    }  # fmt: skip
    view = draw(texts, running, language, **values, frame=True)
    assert view.frame
    assert len(view.text) <= CAPTION_UNITS
    assert "▰" in text_of(view)
    assert not [e for e in view.text.render()[1] if e.type == "expandable_blockquote"]
    plain = draw(texts, running, language, **values)
    (quote,) = [e for e in plain.text.render()[1] if e.type == "expandable_blockquote"]
    assert quote.length <= 900


def test_a_cut_counts_as_the_platform_does():
    text = Text("ab", Bold("🎬" * 50))
    for limit in (1, 2, 3, 50, 51, 101, 102):
        short = cut(text, limit)
        assert len(short) <= limit
        assert len(short) >= min(limit, len(text)) - 1


def test_long_lists_become_several_messages_in_order():
    lines = [f"{number:04} " + "🎬" * 60 for number in range(200)]
    pages = split_lines(lines)
    assert len(pages) > 1
    assert all(len(page) <= 4096 for page in pages)
    assert "\n".join(page.render()[0] for page in pages) == "\n".join(lines)


def test_no_message_has_more_links_than_the_platform_keeps():
    line = Text(Bold("a.mp4"), TextLink("x", url="https://a.example"))
    pages = split_lines([line] * 70)
    assert [len(page.render()[1]) for page in pages] == [100, 40]


def test_the_next_attempt_is_named_while_it_waits(texts, job):
    waiting = dataclasses.replace(job, state=JobState.QUEUED, attempts=1, not_before=2000.0)
    lost = attempt(1, AttemptState.LOST, reason=Reason.SILENT)
    text = text_of(draw(texts, waiting, attempts=(lost,)))
    assert "Attempt 1: the machine went silent, last news 1 s ago." in text
    assert "Now attempt 2 of 3." in text


def test_spending_is_shown_while_it_runs(texts, job):
    running = dataclasses.replace(job, state=JobState.RUNNING)
    assert "$0.012" in text_of(draw(texts, running, attempts=(attempt(),), spent_usd=0.012))
    assert "Spent" not in text_of(draw(texts, running, attempts=(attempt(),)))
