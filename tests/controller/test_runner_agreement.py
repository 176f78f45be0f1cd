"""What the controller expects is what the runner does."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import workload
from controller.model_names import PUBLISHED
from remote_runner.models import catalog
from remote_runner.protocol import INTERPOLATORS, MODELS, NAMED_SIZES, Fit, Mode, Task
from remote_runner.video.geometry import plan_geometry
from remote_runner.video.signal import Chroma
from remote_runner.video.timing import expected_frames
from tests.controller.conftest import FACTS

SIDES = st.integers(16, 2048)
SHAPES = st.sampled_from(["1:1", "64:45", "16:15", "8:9", "32:27", "4:3"])
SIZES = st.sampled_from([*NAMED_SIZES, "640x480", "1920x1080", None])


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, SHAPES, SIZES, st.sampled_from(Fit))
def test_the_size_that_is_promised_is_the_size_that_comes(width, height, sar, size, fit):
    facts = dataclasses.replace(FACTS, width=width, height=height, sar=sar)
    task = Task(size=size, fit=fit)
    shape = Fraction(sar.replace(":", "/"))
    made = plan_geometry(task, width, height, shape, Chroma.C420)
    promised = workload.output_size(facts, task)
    for ours, theirs in zip(promised, made.outer_size, strict=True):
        assert abs(ours - theirs) <= 1, (promised, made.outer_size)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["24", "24000/1001", "25", "30000/1001", "50", "60"]),
    st.integers(1, 5000),
    st.sampled_from([None, "same", "24", "59.94", "60", "120"]),
    st.integers(2, 8),
    st.sampled_from(Mode),
)
def test_frames_are_counted_alike(rate, count, fps, factor, mode):
    seconds = float(count / Fraction(rate))
    facts = dataclasses.replace(FACTS, fps=rate, frames=count, duration_s=seconds)
    task = Task(mode=mode, fps=fps, factor=factor)
    assert workload.output_frames(facts, task) == expected_frames(task, facts)


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"auto"}))
def test_every_upscaler_costs_what_the_catalog_says(name):
    task = Task(model=name)
    assert not workload.is_reckoned(task)
    found = workload.count_operations(FACTS, task, "cuda").total
    pixels = FACTS.width * FACTS.height * FACTS.frames
    assert found / pixels == catalog.CATALOG[name].macs_per_pixel


@pytest.mark.parametrize("name", sorted(set(INTERPOLATORS) - {"auto"}))
def test_every_interpolators_cost_is_known(name):
    task = Task(mode=Mode.INTERP, interpolator=name)
    assert not workload.is_reckoned(task)
    assert workload.count_operations(FACTS, task, "cuda").between > 0


def test_auto_is_the_same_on_both_sides():
    for device in ("cuda", "cpu"):
        chosen = Task(
            mode=Mode.BOTH,
            model=catalog.AUTO_UPSCALERS[device],
            interpolator=catalog.AUTO_INTERPOLATORS[device],
        )
        auto = Task(mode=Mode.BOTH)
        found = [workload.count_operations(FACTS, task, device) for task in (auto, chosen)]
        assert found[0] == found[1]


def test_the_mirror_is_asked_for_every_file_that_the_runner_would_fetch():
    specs = [*catalog.ALL.values(), catalog.NOISE_KEEPER]
    assert {spec.file for spec in specs if spec.download} == set(PUBLISHED)
