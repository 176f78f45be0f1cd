import ast as python
import itertools
import re
from pathlib import Path

import pytest
from fluent.syntax import FluentParser, ast
from fluent.syntax.visitor import Visitor

import bot
from bot import commands
from bot.cards.admin_callbacks import LanguageChoice, Sieve
from bot.cards.choices import Setting
from bot.cards.presets import Preset
from bot.cards.results import Obstacle
from bot.feed.intake import DownloadFailed, TooBigForTelegram, TooBigUnknown
from bot.texts import LANGUAGES, LOCALES
from controller import errors, market, states
from controller.alerts import AlertKind
from controller.backups import Why
from controller.records import Limit, Role
from controller.settings import Settings
from controller.states import JobState, MachineState
from remote_runner import protocol

PLURALS = {"ru": {"one", "few", "many"}, "en": {"one", "other"}}


class Variables(Visitor):
    def __init__(self):
        self.names = set()

    def visit_VariableReference(self, node):  # noqa: N802
        self.names.add(node.id.name)


def read(language):
    sources = [path.read_text("utf-8") for path in sorted((LOCALES / language).glob("*.ftl"))]
    resource = FluentParser().parse("\n".join(sources))
    assert not [entry for entry in resource.body if isinstance(entry, ast.Junk)]
    messages = [entry for entry in resource.body if isinstance(entry, ast.Message)]
    assert len({each.id.name for each in messages}) == len(messages)
    return messages


def variables(message):
    found = Variables()
    found.visit(message)
    return found.names


def subclasses(kind):
    return {kind, *itertools.chain(*(subclasses(each) for each in kind.__subclasses__()))}


def error_codes():
    own = {DownloadFailed, TooBigForTelegram, TooBigUnknown}
    codes = {kind.code for kind in subclasses(errors.UserError) | own}
    return codes | {reason.value for reason in protocol.Reason if reason.is_input_fault}


def needed_keys():
    yield from (f"error-{code}" for code in error_codes())
    yield from (f"reason-{each}" for each in (*states.Reason, *protocol.Reason))
    yield from (f"state-{each}" for each in JobState)
    yield from (f"machine-{each}" for each in MachineState)
    yield from (f"phase-{each}" for each in protocol.Phase)
    yield from (f"phase-processing-{each}" for each in protocol.Mode)
    yield from (f"preset-{each}" for each in Preset)
    yield from (f"note-{each}" for each in protocol.NOTES)
    yield from (f"filter-{each}" for each in market.Filter)
    yield from (f"hold-{each}" for each in Limit)
    yield from (f"role-{each}" for each in Role)
    yield from (f"list-sieve-{each}" for each in Sieve)
    yield from (f"language-{each}" for each in LanguageChoice)
    yield from (f"result-{each}" for each in Obstacle)
    yield from (f"setting-{each}" for each in Setting)
    yield from (f"command-{each}" for each in (*commands.LISTED, *commands.ADMIN_COMMANDS))
    yield from (f"alert-{each}" for each in AlertKind)
    yield from (f"advice-{each}" for each in AlertKind)
    yield from (f"restored-{each}" for each in Why)
    yield from (f"health-problem-{each}" for each in ("loops", "listing", "poller", "database"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_reason_and_error_has_a_text(texts, language):
    missing = [key for key in needed_keys() if not texts[language].has(key)]
    assert not missing


def test_both_languages_have_the_same_keys_with_the_same_variables():
    english, russian = (
        {each.id.name: variables(each) for each in read(language)} for language in ("en", "ru")
    )
    assert english == russian


@pytest.mark.parametrize("language", LANGUAGES)
def test_plurals_have_all_forms_of_the_language(language):
    for message in read(language):
        for element in message.value.elements:
            expression = getattr(element, "expression", None)
            if isinstance(expression, ast.SelectExpression):
                forms = {variant.key.name for variant in expression.variants}
                assert forms == PLURALS[language], message.id.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_errors_and_reasons_can_be_said_without_knowing_more(texts, language, bot_settings):
    from bot.cards.wording import describe_error, describe_reason

    for kind in subclasses(errors.UserError) - {errors.BadVideo, TooBigForTelegram}:
        assert describe_error(kind(), texts[language], Settings(), bot_settings)
    for reason in protocol.Reason:
        if reason.is_input_fault:
            error = errors.BadVideo(reason, "detail")
            assert "detail" not in describe_error(error, texts[language], Settings(), bot_settings)
    for reason in (*states.Reason, *protocol.Reason):
        assert describe_reason(reason, texts[language])


def test_russian_is_written_in_russian(texts):
    latin_only = [
        message.id.name
        for message in read("ru")
        if not variables(message) and texts["ru"](message.id.name).isascii()
    ]
    assert latin_only == ["language-en", "spend-date", "paths-folder", "fact-hdr"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_note_is_shown_as_it_is(texts, language):
    from bot.cards.wording import describe_notes

    assert describe_notes(["novel:1"], None, texts[language]) == ["novel:1"]
    assert (
        "-" not in describe_notes([f"{min(protocol.NOTES)}:bt601"], None, texts[language])[0][:1]
    )


def used_patterns():
    for node in trees():
        if isinstance(node, python.Constant) and isinstance(node.value, str):
            yield re.escape(node.value)
        elif isinstance(node, python.JoinedStr):
            parts = [
                re.escape(str(each.value)) if isinstance(each, python.Constant) else ".+"
                for each in node.values
            ]
            # enough of a key to tell it from others: f"list-{name}", f"{key}-title"
            said = "".join(part for part in parts if part != ".+")
            if re.fullmatch(r"(?=.*[a-z]{3})[a-z]*\\-[a-z_\\-]*", said):
                yield "".join(parts)


def trees():
    for path in Path(bot.__file__).parent.rglob("*.py"):
        yield from python.walk(python.parse(path.read_text("utf-8")))


def named_keys():
    """Keys that are written out where a text is asked for, or named for a toast."""
    for node in trees():
        if isinstance(node, python.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("tongue", "_tongue", "rich") and node.args:
                for each in python.walk(node.args[0]):
                    if isinstance(each, python.Constant) and isinstance(each.value, str):
                        yield each.value
        elif isinstance(node, python.Constant) and str(node.value).startswith("toast-"):
            yield str(node.value)


def test_every_text_that_is_asked_for_is_there(texts):
    # the beginnings of keys that are put together end in a dash
    whole = {key for key in named_keys() if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", key)}
    assert len(whole) > 150
    assert {key for key in whole if not texts["en"].has(key)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_can_be_filled_in(texts, language):
    for message in read(language):
        for number in (0, 1, 2, 5, 21):
            values = dict.fromkeys(variables(message), number)
            assert texts[language](message.id.name, **values)


def test_every_text_is_used():
    pattern = re.compile("|".join({f"(?:{each})" for each in used_patterns()}))
    assert [each.id.name for each in read("en") if not pattern.fullmatch(each.id.name)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bucket_is_named_only_where_there_is_one(texts, language, bot_settings):
    from bot.cards.wording import describe_error

    for error in (errors.BadPath(), TooBigForTelegram(size=1), TooBigUnknown()):
        for storage, named in (("folder", False), ("s3", True)):
            settings = Settings(storage=storage)
            text = describe_error(error, texts[language], settings, bot_settings)
            assert ("b2://" in text) is named
            assert "input/c1/film.mp4" in text
