import json
import subprocess
import sys
import time
from pathlib import Path

from remote_runner.protocol import Task
from tests.runner.clips import make_clip

ROOT = Path(__file__).parents[2]


def runner(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "remote_runner", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_help_is_quick_and_names_the_commands():
    started = time.monotonic()
    code, output, _ = runner("--help")
    assert code == 0
    assert time.monotonic() - started < 2
    for command in ("run", "process", "probe", "verify", "picture"):
        assert command in output


def test_a_file_is_processed_checked_and_drawn(tmp_path):
    source = make_clip(tmp_path / "in.mp4", audio=1)
    output, png = tmp_path / "out.mp4", tmp_path / "picture.png"
    code, text, errors = runner("process", source, output, "--fps", "48", "--device", "cpu")
    assert (code, errors) == (0, "")
    assert "[PROGRESS] 100% |" in text and f"{output}: 64x48, 48 fps" in text
    code, text, _ = runner("verify", source, output, "--json")
    assert code == 0
    assert {check["name"] for check in json.loads(text)} >= {"decodes", "duration", "audio 0"}
    code, text, _ = runner("verify", source, output)
    assert text.startswith("ok   decodes")
    assert runner("picture", source, output, png)[0] == 0
    assert png.stat().st_size > 1000


def test_a_wrong_output_fails_verification(tmp_path):
    source = make_clip(tmp_path / "in.mp4", audio=1)
    other = make_clip(tmp_path / "other.mp4", count=30)
    code, text, errors = runner("verify", source, other)
    assert (code, errors) == (1, "")
    assert "FAIL duration" in text


def test_a_bad_video_is_failed_work_and_a_missing_one_wrong_usage(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("hello\n" * 100)
    for command in (["process", text, tmp_path / "out.mp4"], ["probe", text]):
        code, _, errors = runner(*command)
        assert code == 1
        assert errors == "not_a_video: no video format was recognised\n"
    gone = tmp_path / "gone.mp4"
    for command in (
        ["process", gone, tmp_path / "out.mp4"],
        ["probe", gone],
        ["verify", text, gone],
        ["process", text, tmp_path / "no" / "folder" / "out.mp4"],
    ):
        code, output, errors = runner(*command)
        assert (code, output) == (2, "")
        assert errors.count("\n") == 1 and "Traceback" not in errors
    assert runner("process", text, tmp_path / "o.mp4", "--size", "abc")[0] == 2
    assert runner("process", text, tmp_path / "o.mp4", "--scale", "3")[0] == 2
    assert runner("process", text, tmp_path / "o.mp4", "--segment", "inf")[0] == 2
    assert runner("process", text, tmp_path)[0] == 2
    assert runner("picture", text, text, text)[0] == 2
    assert runner("ftp://host/orders")[0] == 2
    assert runner("nonsense")[0] == 2
    assert sorted(tmp_path.iterdir()) == [text]


def test_options_imply_the_mode():
    from remote_runner.__main__ import _parser, _task

    def task(*options):
        return _task(_parser().parse_args(["process", "a", "b", *options]))

    assert task() == Task()
    assert task("--fps", "60").mode == "interp"
    assert task("--factor", "3", "--size", "64x48").mode == "both"
    assert task("--mode", "both").mode == "both"
    assert task("--scale", "4", "--crf", "20").crf == 20
    webm = _task(_parser().parse_args(["process", "a", "b.webm", "--crf", "60"]))
    assert webm.container == "webm" and webm.problems() == []


def test_probe_lists_facts_for_people(tmp_path):
    source = make_clip(tmp_path / "in.mp4")
    code, text, _ = runner("probe", source)
    assert code == 0
    assert "frames       12" in text


def test_the_protocol_side_needs_the_standard_library_alone():
    script = (
        "import sys\n"
        "import remote_runner.lifecycle, remote_runner.report, remote_runner.transfer\n"
        "import remote_runner.orders, remote_runner.attempt, remote_runner.__main__\n"
        "print(sorted({'torch', 'av', 'numpy', 'cv2'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
