import pytest
from aiogram.utils.formatting import Code, Text

from bot.texts import clean_name


@pytest.mark.parametrize(
    ("seconds", "russian", "english"),
    [
        (0.2, "1 с", "1 s"),
        (59.6, "1 мин", "1 min"),
        (125, "2 мин 5 с", "2 min 5 s"),
        (3599.7, "1 ч", "1 h"),
        (7261, "2 ч 1 мин", "2 h 1 min"),
        (7199, "2 ч", "2 h"),
    ],
)
def test_durations_are_two_units(texts, seconds, russian, english):
    assert texts["ru"].duration(seconds) == russian
    assert texts["en"].duration(seconds) == english


def test_sizes_and_money_follow_the_language(texts):
    assert (texts["ru"].size(12_500_000), texts["en"].size(12_500_000)) == ("12,5 МБ", "12.5 MB")
    assert texts["ru"].size(999_999) == "1 МБ"
    assert texts["ru"].size(999_949) == "999,9 кБ"
    assert texts["ru"].size(999) == "999 Б"
    assert (texts["ru"].money(1.5), texts["en"].money(1.5)) == ("1,50 $", "$1.50")
    assert texts["en"].money(0.071) == "$0.071"


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 кадр"), (3, "3 кадра"), (5, "5 кадров"), (21, "21 кадр"), (111, "111 кадров")],
)
def test_russian_counts_have_the_right_form(texts, count, text):
    assert texts["ru"]("frames", count=count) == text


@pytest.mark.parametrize(
    ("code", "language"),
    [("ru", "ru"), ("uk", "ru"), ("be-BY", "ru"), ("kk", "ru"), ("en-US", "en"), ("de", "en"),
     (None, "en"), ("", "en")],
)  # fmt: skip
def test_language_follows_the_client(texts, code, language):
    assert texts.pick(code).language == language


def test_own_choice_of_language_wins(texts):
    assert texts.pick("ru", "en").language == "en"
    assert texts.pick("ru", "xx").language == "ru"


def test_names_lose_what_could_mislead():
    assert clean_name("a\u202e4pm.exe\u2066b\n\x00c") == "a4pm.exeb c"
    assert clean_name("\u200b \u200f") == "…"
    assert clean_name("x" * 100) == "x" * 59 + "…"
    assert clean_name("👨‍👩‍👧 <b>&") == "👨‍👩‍👧 <b>&"


def test_a_name_cannot_play_a_placeholder(texts):
    text = texts["en"].rich("plan-title", name=Code(clean_name("\ue0000\ue001")))
    assert text.render()[0] == "🎬 0"


def test_bar_is_full_only_at_the_end(texts):
    assert texts["en"].bar(0.999) == "▰" * 11 + "▱ 99%"
    assert texts["en"].bar(1.5) == "▰" * 12 + " 100%"
    assert texts["en"].bar(-1) == "▱" * 12 + " 0%"


def test_a_missing_variable_is_an_error(texts):
    with pytest.raises(LookupError):
        texts["en"]("plan-title")
    with pytest.raises(LookupError):
        texts["en"]("no-such-key")


def test_formatted_parts_keep_their_place(texts):
    text, entities = texts["ru"].rich("running-eta", when=Text("X")).render()
    assert text == "Будет готово X"
    assert entities == []
