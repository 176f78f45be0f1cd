"""Files that ask for much are refused soon and in words, by the probe and by the work itself."""

import json

import pytest

from remote_runner.protocol import Reason
from tests.security.bombs import (
    HEAVY,
    LATE,
    REFUSED,
    absurd_step,
    edits_without_end,
    far_times,
    gif_frames,
    many_samples,
    many_sounds,
    picture_bomb,
    samples_without_end,
)
from tests.security.observed import run

#: Of processor time: others work on this machine as well.
SOON_S = 10.0
#: The probe's own bound is on addresses; what is resident is less. Bytes.
LITTLE, MUCH = 700 << 20, 3 << 30
OUTPUT = ("--device", "cpu", "--model", "starter")


def write(folder, make):
    path = folder / f"{make.__name__}.bin"
    path.write_bytes(make())
    return path


def check_refusal(found, memory):
    assert found.code == 1, found
    assert Reason(found.reason).is_input_fault
    assert found.errors == ""
    assert found.cpu_s < SOON_S
    assert found.memory < memory


# one process each: the quick ones are tried in turn, so that the suite stays quick
@pytest.mark.parametrize("bombs", [REFUSED[0::3], REFUSED[1::3], REFUSED[2::3]], ids="abc")
def test_a_bomb_is_refused_soon_and_in_little_memory(tmp_path, bombs):
    for make in bombs:
        check_refusal(run("probe", write(tmp_path, make), "--json"), LITTLE)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("make", HEAVY, ids=lambda each: each.__name__)
def test_a_heavy_bomb_is_refused_within_its_limits(tmp_path, make):
    check_refusal(run("probe", write(tmp_path, make), "--json"), LITTLE)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("make", LATE, ids=lambda each: each.__name__)
def test_what_shows_late_ends_the_work_in_words_or_does_it_no_harm(tmp_path, make):
    source, output = write(tmp_path, make), tmp_path / "out.mp4"
    found = run("process", source, output, *OUTPUT)
    assert found.code in (0, 1), found
    assert "Traceback" not in found.errors
    assert found.memory < LITTLE
    assert output.exists() == (found.code == 0)
    if found.code:
        assert Reason(found.errors.strip().splitlines()[-1].partition(":")[0]).is_input_fault
    left = {path.name for path in tmp_path.iterdir()} - {source.name, output.name}
    assert left <= {f".{output.name}.segments"}


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "make", [samples_without_end, picture_bomb, far_times, absurd_step, many_samples, many_sounds,
             edits_without_end], ids=lambda each: each.__name__,
)  # fmt: skip
def test_the_work_refuses_it_by_itself(tmp_path, make):
    """Whoever calls it by hand has no controller before it."""
    found = run("process", write(tmp_path, make), tmp_path / "out.mp4", *OUTPUT)
    assert found.code == 1, found
    assert Reason(found.errors.strip().splitlines()[-1].partition(":")[0]).is_input_fault
    assert found.cpu_s < SOON_S
    assert found.memory < LITTLE


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_much_work_in_a_small_file_is_said_before(tmp_path):
    found = run("probe", write(tmp_path, gif_frames), "--json")
    assert found.code == 0, found
    assert json.loads(found.output)["facts"]["frames"] == 400_000
    assert found.memory < MUCH
