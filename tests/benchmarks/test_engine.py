import itertools

import av
import pytest
import torch

from tests.benchmarks import engine_crew, engine_networks
from tests.benchmarks.engine_between import time_between
from tests.benchmarks.engine_clip import make_clip
from tests.benchmarks.engine_crew import Row
from tests.benchmarks.engine_networks import Cost
from tests.benchmarks.engine_table import Demand, draw_table, ratios

COST = Cost(flop=2e9, values=1e6)
CEILINGS = {"flop_s": 1e11, "bytes_s": 1e10}


def row(engine, seconds):
    return Row(engine=engine, ends=[seconds], networks=[seconds / 2], memory=5_000_000, first=1.0)


def pixels(path):
    with av.open(str(path)) as clip:
        return [frame.to_ndarray(format="gray") for frame in clip.decode(video=0)]


def test_no_neighbours_in_the_clip_are_equal(tmp_path):
    frames = pixels(make_clip(tmp_path / "clip.mp4", (96, 54), 80))
    assert len(frames) == 80
    assert frames[0].shape == (54, 96)
    assert all((a != b).any() for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize(
    ("model", "macs"),
    [
        (engine_networks.ANIME, 619_200),
        (engine_networks.GENERAL, 1_209_024),
        (engine_networks.X4PLUS, 17_926_848),
    ],
)
def test_a_frame_costs_what_the_structure_says(model, macs):
    state = {key: torch.zeros(shape) for key, shape in model.structure.shapes().items()}
    cost = engine_networks.count_cost(state, 720, 1280)
    assert cost.flop == pytest.approx(2 * macs * 720 * 1280)
    assert cost.values > 3 * 720 * 1280 * 17


def test_the_table_tells_shares_of_what_the_device_can_do():
    table = draw_table([row("ours", 0.1)], COST, 4, CEILINGS)
    # 20 frames a second of 2 GFLOP and 4 MB, of 100 GFLOP/s and 10 GB/s
    assert table.splitlines()[1].split() == [
        *("noxfvr", "10.00", "fps", "20.00", "fps", "40%", "1%", "5", "MB", "1.00", "s"),
    ]


def test_a_missing_reference_is_a_row_with_the_remedy_and_no_ratio():
    missing = Row(engine="reference", problem=engine_crew.REMEDY)
    rows = [row("ours", 0.1), missing]
    assert "make .venv-reference/.ready" in draw_table(rows, COST, 4, CEILINGS)
    assert ratios(rows) is None


def test_ratios_are_of_medians_and_a_demand_knows_whether_it_is_met():
    slow = row("reference", 0.2)
    slow.ends = [0.2, 5.0, 0.1]
    end, network = ratios([row("ours", 0.1), slow])
    assert (end, network) == (pytest.approx(2.0), pytest.approx(2.0))
    assert str(Demand(what="speed", figure=2.0, least=2.0)).endswith("met")
    assert str(Demand(what="speed", figure=1.9, least=2.0)).endswith("MISSED")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_ours_and_plain_make_the_same_clip_and_tell_their_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_crew, "REFERENCE_PYTHON", tmp_path / "nowhere")
    clip = make_clip(tmp_path / "clip.mp4", (48, 32), 3)
    weights, _ = engine_networks.STARTER.weights(tmp_path)
    rows, ceilings = engine_crew.measure(
        ["ours", "plain", "reference"],
        [weights, 2, "cpu", clip],
        tmp_path,
        size=(48, 32),
        turns=1,
        runs=1,
    )
    assert [row.problem for row in rows] == ["", "", engine_crew.REMEDY]
    assert all(value > 0 for value in ceilings.values())
    for each in rows[:2]:
        assert each.end_fps > 0 and each.network_fps > 0 and each.first > 0
        assert each.memory > 50_000_000
    ours, plain = (pixels(tmp_path / f"{name}.mp4") for name in ("ours", "plain"))
    assert len(ours) == len(plain) == 3
    for mine, theirs in zip(ours, plain, strict=True):
        assert mine.shape == (64, 96)
        # by way of other conversions and a lossy encoder, but the same picture
        assert abs(mine.astype(int) - theirs).mean() < 4


def test_new_frames_are_counted():
    figures = time_between(torch.device("cpu"), 64, 64, pairs=1, turns=1)
    assert figures.fps > 0
