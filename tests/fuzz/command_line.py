"""Command lines of ``noxfvr`` that are wrong in every way, in this process.

Exit code 0, 1 or 2 and no traceback; 2 comes with words that help. Nothing is left but the data
directory.
"""

import logging
import os
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner

from bot.cli import main
from tests.fuzz.tally import Case, Kind, Tally

_ALONE = ("status", "doctor", "reap")
#: These serve until they are stopped; of them only what is wrong can be tried here.
_SERVING = ("bot", "sandbox", "demo")
_COMMANDS = ("batch", "batch", "batch", "status", "cancel", "retry", "logs", "reap", "doctor",
             "restore", "no_such_command", "", "--version", "--help", *_SERVING)  # fmt: skip
_OPTIONS = {
    "--mode": ("upscale", "interp", "both", "x", ""), "--scale": ("2", "4", "3", "-2", "٢"),
    "--size": ("1080p", "4k", "640x360", "0x0", "x", "9" * 30 + "x1", "640X360", "1x1", "-1x-1"),
    "--fit": ("letterbox", "crop", "x"), "--fps": ("60", "same", "0", "nan", "1/0", "inf", "-1",
    "24000/1001", "9" * 400, "1e9"), "--model": ("auto", "starter", "../x", "https://[", "\x7f"),
    "--interpolator": ("auto", "flow", "x"), "--denoise": ("0.5", "2", "nan", "x"),
    "--container": ("mp4", "webm", "x"), "--codec": ("h264", "x"), "--crf": ("18", "64", "-1"),
    "--preset": ("fast", "x"), "--max-price": ("0.1", "-1", "nan", "x", "1e400"),
    "--machines": ("1", "0", "x", "9" * 40), "--json": ("-", "", "/", "no/such/place"),
    "--dry-run": None, "--yes": None, "--all": None,
    "--deployment": ("abcd1234", "X", "a" * 300), "--port": ("0", "70000", "x"),
    "--video": ("no.mp4", "/"), "--no-such-option": ("x",),
}  # fmt: skip
_FITTING = {
    "batch": ["--mode", "--scale", "--size", "--fps", "--model", "--denoise", "--crf",
              "--machines", "--max-price", "--json", "--dry-run", "--yes"],
    "status": ["--json"], "cancel": ["--all"], "retry": ["--json"], "doctor": ["--dry-run"],
    "logs": ["--json"], "reap": ["--dry-run", "--deployment"],
}  # fmt: skip
_WORDS = (
    "no_such_file.mp4", "data/clip.mp4", "data/clip.mp4", "", ".", "no/such/folder/",
    "-", "--", "b2://bucket/key", "b2://", "input/c1",
    "input/../x", "s3://x/y", "https://example.org/x.mp4", "01HZZZZZZZZZZZZZZZZZZZZZZZ", "abcdef",
    "x" * 300, "\u202egpj.4pm", "é", "%s", "a\nb", "*.mp4", "\udcff",
)  # fmt: skip
_ENVIRONMENT = {
    "NOXFVR_MAX_PRICE": "x", "NOXFVR_PROVIDER": "aws", "NOXFVR_STORAGE": "s3",
    "TELEGRAM_BOT_TOKEN": "42", "VAST_API_KEY": "k", "VAST_URL": "http://127.0.0.1:9",
    "NOXFVR_BIND": "127.0.0.1:99999", "NOXFVR_DATA_DIR": "/dev/null/data",
}  # fmt: skip


def run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "clip.mp4").write_text("I am not a video.\n" * 100)
    for number in numbers:
        with tally.case(number) as case:
            arguments = choose_arguments(case)
            environment = choose_environment(case, folder)
            case.told = f"{environment} {arguments}"
            with standing_in(folder, environment):
                done = CliRunner().invoke(main, arguments, input="n\n")
            check(case, done)
            left = [each.name for each in folder.iterdir() if each.name != "data"]
            assert not left, f"left behind: {left}"


def choose_arguments(case: Case) -> list[str]:
    rng = case.rng
    command = rng.choice(_COMMANDS)
    arguments = [command] if command else []
    options = _FITTING.get(command, sorted(_OPTIONS)) if rng.random() < 0.7 else sorted(_OPTIONS)
    for name in rng.sample(options, rng.choice((0, 0, 1, 1, min(2, len(options))))):
        values = _OPTIONS[name]
        arguments += [name] if values is None else [name, rng.choice(values)]
    arguments += rng.sample(_WORDS, 0 if command in _ALONE else rng.choice((0, 1, 1, 2)))
    if command in _SERVING:
        arguments += rng.choice((["--no-such-option"], ["--port", "x"], ["too", "much"]))
    elif rng.random() < 0.2:
        rng.shuffle(arguments)
        # what is left of those that serve must not begin to
        arguments += ["--no-such-option"]
    return arguments


def choose_environment(case: Case, folder: Path) -> dict[str, str]:
    names = case.rng.sample(sorted(_ENVIRONMENT), case.rng.choice((0, 0, 0, 1, 2)))
    return {"NOXFVR_DATA_DIR": str(folder / "data")} | {each: _ENVIRONMENT[each] for each in names}


@contextmanager
def standing_in(folder: Path, environment: dict[str, str]):
    """In a folder without a ``.env``, with nothing set but this, and the log as it was behind."""
    root = logging.getLogger()
    handlers, level, before, here = list(root.handlers), root.level, dict(os.environ), Path.cwd()
    for name in before:
        if name.startswith(("NOXFVR_", "TELEGRAM_", "B2_", "VAST_", "WEBHOOK_")):
            del os.environ[name]
    os.environ.update(environment)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
        root.handlers[:], root.level = handlers, level


def check(case: Case, done) -> None:
    error = done.exception
    assert error is None or isinstance(error, SystemExit), repr(error)
    assert done.exit_code in (0, 1, 2), done.exit_code
    assert "Traceback" not in done.output, done.output
    if done.exit_code == 2:
        assert done.output.strip(), "not a word"
    if done.exit_code == 0:
        case.accept()
    else:
        case.refuse(f"exit {done.exit_code}")


KINDS = (Kind(name="commands", count=200, quick=15, run=run, must_refuse=0.5),)
