import numpy as np
import pytest

from remote_runner.pipeline import process
from remote_runner.protocol import Task
from remote_runner.video.probe import probe
from remote_runner.video.source import main_video, open_source, siting_of
from tests.runner.clips import decoded, make_clip, moving_texture
from tests.runner.video.difficult import FFV1, clip, telecined, woven

FLAGGED = {"options": {"crf": "5", "x264-params": "tff=1"}}


def found(facts):
    notes = [note for note in facts.notes if note.startswith(("fields_found", "telecined"))]
    return facts.interlaced, notes


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("coding", [FFV1, {"options": {"crf": "8"}}], ids=["unflagged", "h264"])
def test_fine_texture_that_moves_is_not_taken_for_fields(tmp_path, step, coding):
    frames = moving_texture(40, 96, 80, step=step)
    source = make_clip(tmp_path / "in.mkv", width=96, height=80, frames=frames, count=40, **coding)
    assert found(probe(source)) == (False, [])


def test_flags_are_believed_where_they_agree(tmp_path):
    assert found(probe(woven(**FLAGGED)(tmp_path))) == (True, [])


@pytest.mark.parametrize("order", ["tt", "bb", "tb", "bt"])
def test_the_order_of_fields_is_not_taken_for_the_place_of_chroma(tmp_path, order):
    options = {"level": "3", "field_order": order}
    source = make_clip(tmp_path / "in.mp4", count=4, codec="ffv1", options=options)
    with open_source(source) as container:
        assert siting_of(container, main_video(container)) == ""


@pytest.mark.parametrize(("top_first", "parity"), [(True, "tff"), (False, "bff")])
def test_fields_that_nobody_told_of_are_seen(tmp_path, top_first, parity):
    source = woven(top_first=top_first, **FFV1)(tmp_path)
    assert found(probe(source)) == (True, [f"fields_found:{parity}"])


def test_fields_later_in_the_file_are_seen(tmp_path):
    source = woven(still_parts=True, count=160, **FFV1)(tmp_path)
    assert not any(_combing(luma) > 40 for luma in decoded(source)[:8])
    assert probe(source).interlaced


def test_film_in_fields_is_told(tmp_path):
    assert found(probe(telecined(tmp_path))) == (True, ["telecined"])


def test_the_right_field_is_taken_first(tmp_path, equipment):
    source = woven(top_first=False, **FFV1)(tmp_path)
    task = Task(preset="ultrafast", crf=1)
    report = process(source, tmp_path / "out.mkv", task, equipment=equipment)
    assert not report.facts.interlaced
    before = np.mean([_combing(luma) for luma in decoded(source)])
    after = np.mean([_combing(luma[::2]) for luma in decoded(report.output)])
    assert after < before / 1.5


def test_formats_without_fields_are_not_looked_at(tmp_path):
    source = clip("webm", codec="libvpx", options={"deadline": "realtime"})(tmp_path)
    assert found(probe(source)) == (False, [])


def _combing(luma):
    """How much rows differ from the mean of the rows around them."""
    rows = luma.astype(float)
    return np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean()
