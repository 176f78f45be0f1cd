import time

from remote_runner import report
from remote_runner.protocol import Phase, Status, from_json
from remote_runner.report import Pace, Reporter, progress_line


def test_progress_lines_look_as_they_always_did():
    assert progress_line(45, 100, 12.34, 31) == "[PROGRESS] 45% | 12.3 fps | ETA 0:31"
    assert progress_line(0, 0, 0, None) == "[PROGRESS] 0% | 0.0 fps | ETA -:--"
    assert progress_line(7, 9, 0.5, 3725) == "[PROGRESS] 77% | 0.5 fps | ETA 1:02:05"


def test_pace_looks_at_the_last_seconds_only():
    pace = Pace()
    for second in range(100):
        pace.add(second, second * 2 if second < 90 else 180 + (second - 90) * 10)
    assert pace.fps == 10
    assert pace.eta_s(370) == 10


def test_lines_come_at_most_once_a_second_and_at_the_end():
    lines = []
    reporter = Reporter(say=lines.append)
    for done in range(1, 101):
        reporter.advance(done, 100)
    reporter.close()
    assert len(lines) == 2
    assert lines[-1].startswith("[PROGRESS] 100% |")


def test_status_and_log_are_written_with_growing_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "FILE_BEAT_S", 0.05)
    status, log = tmp_path / "status", tmp_path / "log"
    reporter = Reporter(say=lambda line: None)
    reporter.aim(status.as_uri(), log.as_uri(), "job", 3)
    reporter.use("cpu", lambda: 77)
    reporter.enter(Phase.PROCESSING)
    reporter.advance(5, 10)
    for n in range(300):
        reporter.note(f"line {n}")
    numbers = []
    for _ in range(4):
        time.sleep(0.1)
        found = from_json(Status, status.read_bytes())
        numbers.append(found.sequence)
    reporter.close()
    assert numbers == sorted(set(numbers))
    assert (found.job, found.attempt, found.phase) == ("job", 3, Phase.PROCESSING)
    assert (found.done, found.total, found.vram_free, found.device) == (5, 10, 77, "cpu")
    assert abs(found.heartbeat_at - time.time()) < 5
    lines = log.read_text().splitlines()
    assert len(lines) == report.LOG_LINES
    assert lines[-1] == "line 299"


def test_a_status_that_cannot_be_written_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "FILE_BEAT_S", 0.05)
    blocked = tmp_path / "folder"
    blocked.write_text("a file where a folder should be")
    target = blocked / "status"
    reporter = Reporter(say=lambda line: None)
    reporter.aim(target.as_uri(), None, "job", 1)
    time.sleep(0.2)
    blocked.unlink()
    for _ in range(50):
        time.sleep(0.05)
        if target.exists():
            break
    reporter.close()
    assert from_json(Status, target.read_bytes()).job == "job"


def test_a_device_that_died_silences_nothing(tmp_path):
    def dead():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    reporter = Reporter(say=lambda line: None)
    reporter.use("card", dead)
    reporter.aim((tmp_path / "status").as_uri(), None, "j", 1)
    reporter.flush()
    reporter.close()
    status = from_json(Status, (tmp_path / "status").read_bytes())
    assert status.vram_free is None


def test_a_line_that_is_no_text_does_not_end_the_signs_of_life(tmp_path):
    reporter = Reporter(say=lambda line: None)
    reporter.aim((tmp_path / "status").as_uri(), (tmp_path / "log").as_uri(), "j", 1)
    reporter.note("a name \udcff of bytes")
    reporter.flush()
    reporter.close()
    assert (tmp_path / "log").read_text() == "a name ? of bytes\n"


def test_a_log_that_could_not_be_written_comes_with_the_next_status(tmp_path):
    blocked = tmp_path / "folder"
    blocked.write_text("a file where a folder should be")
    reporter = Reporter(say=lambda line: None)
    reporter.aim((tmp_path / "status").as_uri(), (blocked / "log").as_uri(), "j", 1)
    reporter.note("a line")
    reporter.flush()
    blocked.unlink()
    reporter.flush()
    reporter.close()
    assert (blocked / "log").read_text() == "a line\n"
