import dataclasses

import pytest

from controller.errors import BadTask, NoSuchFile, SettingsError
from controller.intake import Intake
from controller.model_names import Kind, find_kind, show_reference
from controller.records import TERMINAL, Actor, Request
from controller.settings import load_settings
from controller.weights import Weights
from remote_runner.protocol import MODELS, Mode, Task
from tests.controller.conftest import read_facts, write_video

SHA = "0123456789abcdef" * 4
URL = f"https://example.org/my%20weights.pth?key=secret#sha256={SHA}"
KEY = "input/models/mine.pth"
USER, ADMIN = Actor(7), Actor(1, admin=True)


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("auto", Kind.NAME),
        ("RealESRGAN_x4plus", Kind.NAME),
        (URL, Kind.URL),
        ("https://example.org/x.pth", None),
        (f"http://example.org/x.pth#sha256={SHA}", None),
        (f"https://example.org/x.pth#sha256={SHA[1:]}", None),
        (f"https://me@example.org/x.pth#sha256={SHA}", None),
        (f"file:///etc/x.pth#sha256={SHA}", None),
        (KEY, Kind.KEY),
        ("b2://bucket/models/x.safetensors", Kind.KEY),
        ("ftp://bucket/models/x.pth", None),
        ("/home/me/x.pkl", Kind.PATH),
        ("input/film.mp4", None),
        ("no-such-model", None),
        ("", None),
    ],
)
def test_a_model_is_known_by_its_looks(reference, kind):
    assert find_kind(reference, MODELS) is kind


def test_a_url_is_shown_without_its_secrets():
    assert show_reference(URL) == "https://example.org/my%20weights.pth"
    assert show_reference("https://me:secret@example.org/x.pth") == "https://example.org/x.pth"


def settle(house, task, by, **settings):
    changed = dataclasses.replace(house.settings, **settings)
    return Weights(house.storage, changed).settle(task, by=by)


@pytest.mark.parametrize("reference", [KEY, URL])
def test_who_is_no_administrator_asks_for_names_only(house, reference):
    for task in (Task(model=reference), Task(mode=Mode.BOTH, interpolator=reference)):
        with pytest.raises(BadTask) as refused:
            settle(house, task, USER)
        assert "secret" not in str(refused.value)
        assert settle(house, task, ADMIN) == task
        assert settle(house, task, TERMINAL) == task
    assert settle(house, Task(model="RealESRGAN_x2plus"), USER).model == "RealESRGAN_x2plus"


@pytest.mark.parametrize("key", ["output/x.pth", "jobs/1/x.pth", "input/uploads/1/x.pth"])
def test_a_chat_reads_no_weights_where_it_may_read_no_video(house, key):
    with pytest.raises(BadTask):
        settle(house, Task(model=key), ADMIN)
    assert settle(house, Task(model=key), TERMINAL).model == key


def test_a_path_is_for_the_terminal_of_this_computer(house, tmp_path, monkeypatch):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    for given in ("mine.pth", str(path)):
        assert settle(house, Task(model=given), TERMINAL).model == str(path)
    for by, settings in ((ADMIN, {}), (USER, {}), (TERMINAL, {"provider": "vast"})):
        with pytest.raises(BadTask):
            settle(house, Task(model=str(path)), by, **settings)
    with pytest.raises(BadTask):
        settle(house, Task(model=str(tmp_path / "none.pth")), TERMINAL)


@pytest.mark.parametrize("reference", ["../x.pth", "a//x.pth", "b2://bucket/x.pth"])
def test_a_path_that_leads_nowhere_is_a_wrong_task(house, reference):
    with pytest.raises(BadTask):
        settle(house, Task(model=reference), TERMINAL, provider="vast")


async def test_the_deployments_own_model_is_everybodys(house, tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"weights")
    for model in (KEY, URL, str(path)):
        task = settle(house, Task(), USER, model=model)
        assert task.model == model
        # a preset that is pressed later brings it along
        assert settle(house, task, USER, model=model) == task


async def test_weights_that_are_not_there_are_told_before_anything_is_taken_in(house):
    request = Request(key="k", owner=0)
    intake = Intake(
        store=house.store, storage=house.storage, settings=house.settings, clock=house.clock,
        prober=read_facts,
    )  # fmt: skip
    video = house.settings.data_dir / "clip.mp4"
    await write_video(video)
    with pytest.raises(NoSuchFile):
        await intake.accept_local(request, path=video, task=Task(model=KEY))
    assert house.controller.jobs() == []
    assert await house.storage.entries("input/") == []
    await house.storage.write(KEY, b"weights")
    job = await intake.accept_local(request, path=video, task=Task(model=KEY))
    assert job.task.model == KEY


@pytest.mark.parametrize("model", [KEY, URL, "b2://bucket/models/x.pth", "starter"])
def test_the_setting_takes_what_the_option_takes(model):
    assert load_settings({"NOXFVR_MODEL": model}).model == model


def test_a_setting_that_is_refused_tells_no_secret():
    with pytest.raises(SettingsError) as refused:
        load_settings({"NOXFVR_MODEL": "https://example.org/x.pth?key=secret"})
    assert "secret" not in str(refused.value)
    assert "#sha256=" in str(refused.value)


def test_a_path_that_cannot_be_looked_at_is_refused_and_does_not_crash(house):
    path = f"/{'x' * 300}.pth"
    with pytest.raises(SettingsError):
        load_settings({"NOXFVR_MODEL": path})
    with pytest.raises(BadTask):
        settle(house, Task(model=path), TERMINAL)


@pytest.mark.parametrize("length", ["0.5", "61"])
def test_segments_are_neither_too_short_nor_too_long(length):
    assert load_settings({}).segment_s == 20
    with pytest.raises(SettingsError):
        load_settings({"NOXFVR_SEGMENT_S": length})
