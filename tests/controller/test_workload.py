import dataclasses

import pytest

from controller import policy
from controller.loops.publish import mismatch
from controller.workload import (
    count_operations,
    is_reckoned,
    memory_gb,
    output_frames,
    output_size,
)
from remote_runner.protocol import Mode, Task
from tests.controller.conftest import FACTS

HD = dataclasses.replace(FACTS, width=1280, height=720)


@pytest.mark.parametrize(
    ("model", "gigaflops"),
    [
        # two operations a multiply-accumulate, of one 1280x720 picture
        ("realesr-animevideov3", 1_141),
        ("realesr-general-x4v3", 2_228),
        ("RealESRGAN_x4plus", 33_043),
        ("RealESRGAN_x4plus_anime_6B", 10_518),
        ("RealESRGAN_x2plus", 8_263),
    ],
)
def test_networks_cost_what_their_layers_say(model, gigaflops):
    found = count_operations(HD, Task(model=model), "cuda")
    assert 2 * found.total / HD.frames / 1e9 == pytest.approx(gigaflops, rel=0.001)


@pytest.mark.parametrize(
    ("interpolator", "gigaflops"), [("rife-4.25", 37.7 + 3.0), ("rife-4.6", 79.0)]
)
def test_new_frames_are_reckoned_on_padded_pictures(interpolator, gigaflops):
    task = Task(mode=Mode.INTERP, interpolator=interpolator)
    found = count_operations(HD, task, "cuda")
    assert 2 * found.between / HD.frames / 1e9 == pytest.approx(gigaflops, rel=0.01)


def test_auto_is_what_the_runner_takes_on_the_device():
    both = Task(mode=Mode.BOTH)
    card = Task(mode=Mode.BOTH, model="realesr-general-x4v3", interpolator="rife-4.25")
    processor = Task(mode=Mode.BOTH, model="starter", interpolator="flow")
    assert count_operations(HD, both, "cuda") == count_operations(HD, card, "cuda")
    assert count_operations(HD, both, "cpu") == count_operations(HD, processor, "cpu")


def test_a_doubling_network_runs_twice_for_four_times_the_size():
    once = count_operations(HD, Task(model="RealESRGAN_x2plus"), "cuda").total
    twice = count_operations(HD, Task(model="RealESRGAN_x2plus", scale=4), "cuda").total
    assert twice == 5 * once
    assert count_operations(HD, Task(model="starter", size="640x360"), "cpu").total == 0


def test_a_dear_network_runs_on_the_source_frames_only():
    task = Task(mode=Mode.BOTH, model="RealESRGAN_x4plus", factor=2)
    alone = count_operations(HD, Task(model="RealESRGAN_x4plus"), "cuda").enlarging
    assert count_operations(HD, task, "cuda").enlarging == alone


def test_a_model_of_unknown_cost_is_taken_for_the_heaviest_and_that_is_said():
    own = Task(model="input/models/mine.pth")
    heaviest = count_operations(HD, Task(model="RealESRGAN_x4plus"), "cuda")
    assert count_operations(HD, own, "cuda") == heaviest
    assert is_reckoned(own)
    assert policy.estimate(HD, own, lambda _: None).reckoned
    assert not policy.estimate(HD, own, lambda _: 1e6).reckoned
    assert not is_reckoned(Task(mode=Mode.INTERP, model="input/models/mine.pth"))
    assert is_reckoned(Task(mode=Mode.BOTH, interpolator="https://x/y.pkl#sha256=" + "0" * 64))


def test_memory_is_never_less_than_a_card_that_is_worth_renting():
    assert memory_gb(FACTS, Task()) == 4.0
    full = dataclasses.replace(HD, width=3840, height=2160)
    heavy = memory_gb(full, Task(model="RealESRGAN_x4plus", scale=2))
    assert 8 < heavy < 24
    assert heavy > memory_gb(full, Task(scale=2))


@pytest.mark.parametrize(
    ("changes", "task", "size"),
    [
        ({}, Task(size="1080p"), (1920, 1080)),
        ({"width": 720, "height": 576, "sar": "64:45"}, Task(size="1080p"), (1920, 1080)),
        ({"width": 720, "height": 576, "sar": "16:15"}, Task(size="1080p"), (1440, 1080)),
        ({"width": 720, "height": 576, "sar": "0:1"}, Task(size="1080p"), (1350, 1080)),
        ({"width": 1080, "height": 1920}, Task(size="4k"), (2160, 3840)),
        ({"width": 720, "height": 576, "sar": "16:15"}, Task(size="640x480"), (640, 480)),
        ({"width": 720, "height": 576, "sar": "16:15"}, Task(), (1440, 1152)),
    ],
)
def test_the_size_of_the_output_counts_pixels_that_are_not_square(changes, task, size):
    facts = dataclasses.replace(FACTS, **changes)
    assert output_size(facts, task) == size
    expected = policy.estimate(facts, task, lambda _: None)
    assert (expected.width, expected.height) == size


@pytest.mark.parametrize(
    ("task", "frames"),
    [
        (Task(fps="60"), 240),
        (Task(mode=Mode.INTERP), 480),
        (Task(mode=Mode.INTERP, factor=3), 720),
        (Task(mode=Mode.INTERP, fps="60"), 600),
        (Task(mode=Mode.INTERP, fps="59.94"), 599),
        (Task(mode=Mode.INTERP, fps="same"), 240),
    ],
)
def test_frames_of_the_output_are_counted_as_the_runner_counts_them(task, frames):
    assert output_frames(FACTS, task) == frames


@pytest.mark.parametrize(
    ("task", "found", "is_right"),
    [
        (Task(size="1080p"), {"width": 1920, "height": 1080}, True),
        (Task(size="1080p"), {"width": 1440, "height": 1080}, False),
        (Task(size="640x480", fit="crop"), {"width": 640, "height": 480}, True),
        (Task(mode=Mode.INTERP, fps="same"), {}, True),
        (Task(mode=Mode.INTERP, fps="same"), {"frames": 480}, False),
        (Task(mode=Mode.INTERP, fps="60"), {"frames": 600, "fps": "60"}, True),
        (Task(mode=Mode.INTERP, fps="60"), {"frames": 597, "fps": "60"}, False),
    ],
)
def test_a_result_is_held_against_what_was_asked_for(house, task, found, is_right):
    from tests.controller.test_grants import make_job

    job = make_job(task=task)
    complaint = mismatch(job, dataclasses.replace(FACTS, **found))
    assert (complaint is None) is is_right
