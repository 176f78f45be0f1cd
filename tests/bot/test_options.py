import pytest
from click.testing import CliRunner

from bot import cli
from bot.cards.presets import Preset, apply_preset, find_preset
from bot.cards.wording import show_task
from controller import policy
from remote_runner.protocol import DENOISABLE, Fit, Mode, Task
from tests.bot.director import Director
from tests.controller.test_grants import make_job


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """What ``noxfvr batch film.mp4 …`` was understood as: the task, or the one line of refusal."""
    monkeypatch.setenv("NOXFVR_DATA_DIR", str(tmp_path / "data"))
    orders = []

    async def run_batch(settings, order):
        orders.append(order)
        return True

    monkeypatch.setattr(cli, "run_batch", run_batch)
    monkeypatch.setattr(cli, "configure_logging", lambda *_, **__: None)

    def ask(*options):
        done = CliRunner().invoke(cli.main, ["batch", "film.mp4", *options])
        if done.exit_code == 0:
            return orders[-1].task
        assert done.exit_code == 2, done.output
        return done.output.strip().splitlines()[-1]

    return ask


@pytest.mark.parametrize(
    ("options", "task"),
    [
        ("", Task()),
        ("--size 4k", Task(size="4k")),
        ("--size 1280x720 --fit crop", Task(size="1280x720", fit=Fit.CROP)),
        ("--mode interp --fps same", Task(mode=Mode.INTERP, fps="same")),
        ("--mode interp --fps 24000/1001", Task(mode=Mode.INTERP, fps="24000/1001")),
        (
            "--mode both --interpolator rife-4.6",
            Task(mode=Mode.BOTH, interpolator="rife-4.6"),
        ),
        ("--denoise 0.3", Task(model=DENOISABLE, denoise=0.3)),
        (f"--model {DENOISABLE} --denoise 0", Task(model=DENOISABLE, denoise=0.0)),
        ("--container webm --crf 60", Task(container="webm", crf=60)),
        ("--codec av1 --container mp4", Task(codec="av1", container="mp4")),
        ("--model input/models/x.pth", Task(model="input/models/x.pth")),
    ],
)
def test_options_are_understood(ask, options, task):
    assert ask(*options.split()) == task


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--size 900p", "1080p"),
        ("--size 1080p --fit crop", "--fit needs an exact size"),
        ("--fit crop", "--fit needs an exact size"),
        ("--fps same", "--fps needs --mode interp or both"),
        ("--interpolator rife-4.6", "--interpolator needs --mode interp or both"),
        ("--mode interp --size 4k", "--size needs --mode upscale or both"),
        ("--mode interp --denoise 1", "--denoise needs --mode upscale or both"),
        ("--model starter --denoise 1", f"denoise is for the model {DENOISABLE} alone"),
        ("--container avi", "'avi' is not one of"),
        ("--container webm --codec h264", "webm holds av1, not h264"),
        ("--codec vp9", "'vp9' is not one of"),
        ("--crf 60", "crf must be 0 to 51, not 60"),
        ("--denoise 2", "2.0 is not in the range"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(ask, options, words):
    assert words in ask(*options.split())


@pytest.mark.parametrize(
    ("task", "extension", "key"),
    [
        (Task(size="4k"), "mp4", "output/film_4k_000000.mp4"),
        (Task(size="1920x1080", fit=Fit.CROP), "webm", "output/film_1080p_000000.webm"),
        (Task(mode=Mode.INTERP, fps="same"), "mov", "output/film_24fps_000000.mov"),
        (Task(mode=Mode.BOTH, size="720p"), "mkv", "output/film_720p_48fps_000000.mkv"),
    ],
)
def test_results_are_named_by_what_was_asked_for(task, extension, key):
    assert policy.output_key(make_job(task=task), extension) == key


@pytest.mark.parametrize(
    ("task", "english", "russian"),
    [
        (Task(size="4k"), "4K", "4K"),
        (Task(size="1080p"), "1080p", "1080p"),
        (Task(size="1920x1080"), "1920×1080", "1920×1080"),
        (Task(mode=Mode.INTERP, fps="same"), "an even frame rate", "постоянная частота"),
        (Task(mode=Mode.BOTH, fps="60"), "×2 + 60 fps", "×2 + 60 к/с"),
    ],
)
def test_a_chat_is_told_what_is_done(texts, task, english, russian):
    assert show_task(task, texts["en"]) == english
    assert show_task(task, texts["ru"]) == russian


def test_a_preset_keeps_what_else_was_chosen():
    task = Task(size="4k", container="mkv", codec="av1", interpolator="rife-4.6", fps="same")
    assert find_preset(task) is None
    pressed = apply_preset(Preset.BOTH, task)
    assert (pressed.container, pressed.codec, pressed.interpolator) == ("mkv", "av1", "rife-4.6")
    assert find_preset(pressed) is Preset.BOTH


async def test_a_model_that_cannot_be_had_is_wrong_usage(rented, monkeypatch):
    director = Director(rented, monkeypatch)
    await director.put("a.mp4")
    for model in ("input/models/none.pth", "no-such-model", "/none.pth"):
        with pytest.raises(cli.UsageError) as refused:
            await director.run(task=Task(model=model))
        assert model in str(refused.value)
    assert rented.controller.jobs() == []


async def test_a_model_of_unknown_cost_is_said_in_the_plan(rented, monkeypatch, capsys):
    director = Director(rented, monkeypatch)
    await director.put("a.mp4")
    await rented.storage.write("input/models/mine.pth", b"weights")
    await director.run(task=Task(model="input/models/mine.pth"), dry_run=True)
    assert "a model of unknown cost taken for the heaviest" in capsys.readouterr().out
