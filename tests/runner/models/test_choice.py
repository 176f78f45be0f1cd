"""Models of one's own through the whole of the pipeline, and who may name which."""

import pytest
import torch

from remote_runner.errors import InputError, MachineError
from remote_runner.models.ifnet_layout import V4_25
from remote_runner.models.rrdb_structure import Structure
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Mode, Reason, Task
from tests.runner.clips import make_clip, video_times
from tests.runner.models.published import draw_state


@pytest.fixture
def own(tmp_path):
    """Files of the user's: an RRDB network of scale 2 and a RIFE."""
    large = Structure(num_block=1, num_feat=8, num_grow=4, fold=2)
    torch.save({"params_ema": draw_state(large.shapes())}, tmp_path / "large.pth")
    torch.save(draw_state(V4_25.shapes()), tmp_path / "rife.pkl")
    return tmp_path / "large.pth", tmp_path / "rife.pkl"


def test_files_of_ones_own_go_through_the_pipeline(own, tmp_path):
    source = make_clip(tmp_path / "in.mp4", count=4)
    task = Task(mode=Mode.BOTH, scale=2, model=str(own[0]), interpolator=str(own[1]))
    report = process(
        source, tmp_path / "out.mp4", task, equipment=Equipment(device="cpu", allow_paths=True)
    )
    assert report.model == "large+rife"
    assert len(video_times(report.output)) == report.frames == 8
    assert all(check.passed for check in report.checks)


def test_objects_of_the_job_go_through_the_pipeline(own, tmp_path):
    source = make_clip(tmp_path / "in.mp4", count=3)
    weights = {"b/large.pth": own[0].as_uri(), "b/rife.pkl": own[1].as_uri()}
    task = Task(mode=Mode.BOTH, model="b/large.pth", interpolator="b/rife.pkl")
    report = process(
        source, tmp_path / "out.mp4", task, equipment=Equipment(device="cpu", weights=weights)
    )
    assert report.model == "large+rife"


@pytest.mark.parametrize("option", ["model", "interpolator"])
def test_a_job_that_was_sent_cannot_read_files_of_the_machine(own, tmp_path, option):
    source = make_clip(tmp_path / "in.mp4", count=3)
    task = Task(mode=Mode.BOTH, **{option: str(own[option == "interpolator"])})
    with pytest.raises(InputError) as caught:
        process(source, tmp_path / "out.mp4", task, equipment=Equipment(device="cpu"))
    assert caught.value.reason is Reason.BAD_TASK


def test_a_choice_that_fell_back_is_in_the_notes(tmp_path, monkeypatch):
    def unreachable(download, **_):
        raise MachineError(Reason.MODEL_UNAVAILABLE, f"{download.file} could not be fetched")

    monkeypatch.setattr("remote_runner.models.sources.fetch", unreachable)
    # what a card would have chosen
    for kind, name in (("UPSCALERS", "realesr-general-x4v3"), ("INTERPOLATORS", "rife-4.25")):
        auto = f"remote_runner.models.catalog.AUTO_{kind}"
        shipped = "starter" if kind == "UPSCALERS" else "flow"
        monkeypatch.setattr(auto, Choice(cpu=shipped, preferred=name))
    source = make_clip(tmp_path / "in.mp4", count=3)
    report = process(
        source, tmp_path / "out.mp4", Task(mode=Mode.BOTH), equipment=Equipment(device="cpu")
    )
    assert report.model == "starter+dis"
    assert "model_fallback:realesr-general-x4v3" in report.notes
    assert "model_fallback:rife-4.25" in report.notes


class Choice(dict):
    """Prefers on a processor what is meant for a card."""

    def __init__(self, cpu, preferred):
        super().__init__(cpu=cpu)
        self.preferred = preferred

    def get(self, device_type, default=None):
        return self.preferred
