import asyncio
import html
import io
import json
import logging
import sys
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from controller.errors import SettingsError, Unclear
from controller.log_ids import IdFilter, current_ids, log_ids, logged, note_ids
from controller.log_output import configure_logging
from controller.records import Actor
from controller.redaction import JsonFormatter, RedactingFormatter
from controller.settings import Settings, load_provider_settings, load_settings
from controller.states import JobState
from remote_runner.protocol import Facts, from_json
from tests.controller.conftest import video
from tests.controller.standins import make_offer

#: What JSON, Python, HTML and addresses each write in another way.
NASTY = "k3y\"with\\every&thing'<\n\t\x01é/+=%20"
TOKEN = "1234567890:" + "AbC_-9" * 6
SIGNED = (
    "https://b2.example/bucket/clip.mp4?X-Amz-Credential=KEYID%2F2026&X-Amz-Date=1"
    "&X-Amz-Signature=feedbeef0123"
)
FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Sink:
    """A logger of its own whose lines are formatted as the program's."""

    def __init__(self, formatter) -> None:
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter)
        handler.addFilter(IdFilter())
        self.log = logging.Logger("controller.test", logging.DEBUG)
        self.log.addHandler(handler)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def documents(self):
        return [json.loads(line) for line in self.text.splitlines()]


def as_json(*secrets):
    return Sink(JsonFormatter(secrets))


def as_text(*secrets):
    return Sink(RedactingFormatter(secrets, FORM))


def leaves(value):
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield str(value)


# --- lines -----------------------------------------------------------------------------------


def test_a_line_of_json_has_time_level_logger_message_and_ids():
    sink = as_json()
    before = datetime.now(UTC)
    with log_ids(job="J" * 26, attempt=2, machine="M" * 26, chat=-100):
        sink.log.warning("Created %s", "i7", extra={"price": 0.06, "tries": [1, None, True]})
    (line,) = sink.documents
    at = datetime.fromisoformat(line.pop("time"))
    assert abs((at - before).total_seconds()) < 60
    assert at.utcoffset().total_seconds() == 0
    assert line == {
        "level": "warning", "logger": "controller.test", "message": "Created i7",
        "job": "J" * 26, "attempt": 2, "machine": "M" * 26, "chat": -100,
        "extra": {"price": 0.06, "tries": [1, None, True]},
    }  # fmt: skip


def test_a_line_of_text_is_as_before_with_the_ids_behind_it():
    sink = as_text()
    sink.log.info("plain")
    with log_ids(job="J7", attempt=1):
        sink.log.info("Created %s", "i7")
    plain, with_ids = sink.text.splitlines()
    assert plain.endswith(" INFO controller.test: plain")
    assert with_ids.endswith(" INFO controller.test: Created i7 [job=J7 attempt=1]")


def test_a_message_of_many_lines_is_one_line_of_json():
    sink = as_json()
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        sink.log.exception("it\nbroke", stack_info=True)
    (line,) = sink.documents
    assert line["message"] == "it\nbroke"
    assert line["exception"].endswith("ValueError: first\nsecond")
    assert "Traceback" in line["exception"]
    assert "test_logging.py" in line["stack"]


@pytest.mark.parametrize("make", [as_json, as_text])
def test_a_line_that_cannot_be_put_together_is_told_redacted_and_not_thrown(make, capsys):
    class Odd:
        def __str__(self):
            raise RuntimeError("no text")

    sink = make(NASTY)
    sink.log.info("%s and %s", NASTY)  # noqa: PLE1206
    sink.log.info("%d", Odd())
    assert "TypeError in logging" in sink.text
    assert len(sink.text.splitlines()) == 2
    assert "k3y" not in sink.text
    assert capsys.readouterr().err == ""


# --- redaction -------------------------------------------------------------------------------


def tell_everywhere(log, secret):
    """The same secret in every place that a line has, plain and nested."""
    log.info("message %s", secret)
    log.info("as JSON: %s", json.dumps({"body": [secret]}))
    log.info("as JSON with its letters: %s", json.dumps(secret, ensure_ascii=False))
    log.info("as Python: %r and %s", secret, {"key": [secret, "'\""]})
    log.info("in an address: https://x/?key=%s", quote(secret, safe=""))
    log.info("in a page: %s", html.escape(secret))
    log.info("bytes %s", secret.encode())
    log.info("extra", extra={"one": secret, "many": {"deep": [{secret: (secret, {"x": secret})}]}})
    log.info("more extra", extra={"raw": secret.encode(), "error": ValueError(secret)})
    with log_ids(job=secret, machine=secret):
        log.info("ids")
    try:
        try:
            raise OSError(secret)
        except OSError as error:
            raise RuntimeError(f"because {secret}") from error
    except RuntimeError:
        log.exception("exception")


@pytest.mark.parametrize("make", [as_json, as_text])
@pytest.mark.parametrize("secret", [NASTY, "pass word", "Ключ-от-счёта", 'a"b\\c"d', "x&y=z&w"])
def test_a_secret_is_nowhere_however_it_is_written(make, secret):
    sink = make(secret)
    tell_everywhere(sink.log, secret)
    if make is as_json:
        for line in sink.documents:
            assert not [each for each in leaves(line) if secret in each]
    for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), html.escape(secret)):
        assert form not in sink.text
    assert sink.text.count("***") >= 11


@pytest.mark.parametrize("make", [as_json, as_text])
def test_tokens_and_signed_addresses_are_hidden_without_being_named(make):
    sink = make()
    encoded = json.dumps({"url": SIGNED}).replace("&", "\\u0026")
    for said in (
        f"GET /bot{TOKEN}/getMe", SIGNED, json.dumps({"url": SIGNED}), encoded,
        html.escape(SIGNED), quote(SIGNED, safe=""), repr({"url": [SIGNED]}),
        json.dumps({"Authorization": "Bearer t0psecret"}),
        f"https://x/?token={quote(TOKEN, safe='')}",
    ):  # fmt: skip
        sink.log.info("%s", said, extra={"nested": [{"said": said}]})
        try:
            raise ValueError(said)
        except ValueError:
            sink.log.exception("it broke")
    for secret in (TOKEN, "AbC_-9", "KEYID", "feedbeef0123", "t0psecret"):
        assert secret not in sink.text
    assert "clip.mp4" in sink.text
    if make is as_json:
        assert len(sink.documents) == 18


def test_numbers_stay_numbers_unless_they_are_a_secret():
    sink = as_json("123456789")
    sink.log.info("%d", 123456789, extra={"n": 123456789, "m": 42, "nan": float("nan")})
    (line,) = sink.documents
    assert line["message"] == "***"
    assert line["extra"] == {"n": "***", "m": 42, "nan": "nan"}


def test_short_secrets_do_not_blank_out_ordinary_words():
    sink = as_json("in", "")
    sink.log.info("in here")
    assert sink.documents[0]["message"] == "in here"


SECRET = st.text(min_size=6, max_size=24).filter(lambda text: text.strip("*") == text)


@budget(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(secret=SECRET, before=st.text(max_size=8), after=st.text(max_size=8))
def test_no_text_around_a_secret_and_no_escape_brings_it_out(secret, before, after):
    said = before + secret + after
    sink = as_json(secret)
    sink.log.info("%s", said, extra={"nested": [{said: (said,)}], "json": json.dumps([said])})
    # lines end at line feeds: what else a text may be split at is no end of a line of JSON
    (line,) = [json.loads(each) for each in sink.text.split("\n") if each]
    found = [each for each in leaves(line) if secret in each]
    # a very odd secret may be a part of what a line always has
    assert not [each for each in found if each not in ("***", line["time"])], (secret, line)


# --- ids -------------------------------------------------------------------------------------


async def test_ids_of_steps_do_not_mix_and_end_with_the_step(house):
    job = await house.queued()
    other = await house.queued("other.mp4")
    seen = {}

    @logged
    async def step(job, *, wait_s):
        await asyncio.sleep(wait_s)
        note_ids(attempt=7)
        await asyncio.gather(look(job))
        seen[job.id] = dict(current_ids())

    async def look(job):
        assert current_ids()["job"] == job.id

    with log_ids(chat=5):
        await asyncio.gather(step(job, wait_s=0.02), step(other, wait_s=0.01))
        assert dict(current_ids()) == {"chat": 5}
    assert dict(current_ids()) == {}
    for each in (job, other):
        assert seen[each.id] == {"job": each.id, "attempt": 7, "chat": 5}


def test_a_step_that_is_no_coroutine_has_ids_as_well_and_gives_them_back():
    @logged
    def step(what, fail):
        if fail:
            raise ValueError("broke")
        return dict(current_ids())

    assert step("x", fail=False) == {}
    with log_ids(machine="M"), pytest.raises(ValueError, match="broke"):
        step("x", fail=True)
    assert dict(current_ids()) == {}


@pytest.fixture
def run(rented):
    """A whole story of two jobs on rented machines, logged as the program logs it."""
    sink = as_json(*rented.settings.secrets)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.append(sink.log.handlers[0])
    logging.getLogger("controller").setLevel(logging.INFO)
    yield rented, sink
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_all_lines_of_a_job_carry_its_id(run):
    house, sink = run
    house.provider.market = [make_offer(), make_offer(id="2", machine_id="m2")]
    first, second = await house.queued("a.mp4"), await house.queued("b.mp4")
    await house.tick()
    for machine in house.store.machines.select():
        attempt = house.store.attempts.open_on(machine.id)
        if attempt.job == first.id:
            house.runner.babble(machine, "result")
        else:
            output = video(width=640, height=360)
            facts = from_json(Facts, output)
            house.runner.finish(machine, output, facts=facts, extension="mp4")
    house.provider.list_faults.append("x")
    for _ in range(3):
        await house.tick(20)
    house.provider.market = []
    for _ in range(3):
        await house.tick(400)
    house.controller.cancel(first.id, by=Actor(7))
    await house.tick()
    lines = sink.documents
    assert house.job(second).state is JobState.DONE
    assert house.job(first).state.is_terminal
    told = [line["message"] for line in lines]
    assert sum(message.startswith("Created instance") for message in told) == 2
    for job in (first, second):
        about = [line for line in lines if job.id in line["message"]]
        assert about
        assert [line for line in about if line.get("job") != job.id] == []
        created = [
            line
            for line in lines
            if line["message"].startswith("Created") and line.get("job") == job.id
        ]
        (line,) = created
        assert line["attempt"] == 1
        assert line["machine"] == house.store.attempts.of_job(job.id)[0].machine
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
        if (message := line["message"]).startswith("Machine "):
            assert line["machine"] == message.split()[1].rstrip(":,")


# --- settings --------------------------------------------------------------------------------


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level for name in ("bot", "controller", "remote_runner")
    }
    yield root
    root.handlers[:], _ = kept
    root.setLevel(kept[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_form_and_level_come_from_the_settings(root_logger, capsys, monkeypatch):
    settings = load_settings({"NOXFVR_LOG_FORMAT": "json", "NOXFVR_LOG_LEVEL": "debug"})
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    configure_logging(settings, level=logging.ERROR)
    logging.getLogger("controller.loops").debug("ours %s", 1)
    logging.getLogger("botocore").debug("a signature of somebody else's")
    (line,) = [json.loads(each) for each in stream.getvalue().splitlines()]
    assert (line["level"], line["message"]) == ("debug", "ours 1")


def test_without_settings_it_is_text_of_the_level_that_suits_the_command(root_logger, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    configure_logging(Settings(secrets=("s3cret-token",)), level=logging.ERROR)
    logging.getLogger("controller").warning("quiet")
    logging.getLogger("controller").error("loud s3cret-token")
    assert stream.getvalue().endswith(" ERROR controller: loud ***\n")
    assert stream.getvalue().count("\n") == 1


def test_wrong_settings_of_the_log_are_told():
    wrong = {"NOXFVR_LOG_FORMAT": "xml", "NOXFVR_LOG_LEVEL": "loud", "VAST_API_KEY": "k" * 20}
    for load in (load_settings, load_provider_settings):
        with pytest.raises(SettingsError) as raised:
            load(wrong)
        assert len(raised.value.problems) == 2


async def test_a_step_that_fails_says_whose_it_was(run):
    house, sink = run
    job = await house.queued()
    await house.tick()
    machine = house.machine()

    async def refuse(_):
        raise Unclear("no answer")

    house.context.mailbox.attempt_status = refuse
    await house.watch.tick()
    (line,) = [each for each in sink.documents if "cannot be looked at" in each["message"]]
    assert line["machine"] == machine.id
    assert house.store.attempts.open_on(machine.id).job == job.id
