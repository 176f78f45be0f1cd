import pytest
import torch
from safetensors.torch import save_file

from remote_runner.errors import MachineError
from remote_runner.models.state import read_state
from remote_runner.protocol import Reason

TABLE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def same(found):
    return list(found) == list(TABLE) and all(torch.equal(found[key], TABLE[key]) for key in TABLE)


@pytest.mark.parametrize("name", ["m.pth", "m.pt", "m.pkl", "m"])
@pytest.mark.parametrize("wrapper", [None, "params_ema", "params", "state_dict", "model"])
def test_parameters_are_found_wherever_they_are_wrapped(tmp_path, name, wrapper):
    path = tmp_path / name
    torch.save(TABLE if wrapper is None else {wrapper: TABLE, "epoch": 3}, path)
    assert same(read_state(path))


def test_averaged_parameters_come_before_others(tmp_path):
    other = {key: value + 1 for key, value in TABLE.items()}
    torch.save({"params": other, "params_ema": TABLE}, tmp_path / "m.pth")
    assert same(read_state(tmp_path / "m.pth"))


def test_the_old_format_of_pytorch_is_read(tmp_path):
    torch.save(TABLE, tmp_path / "m.pth", _use_new_zipfile_serialization=False)
    assert same(read_state(tmp_path / "m.pth"))


@pytest.mark.parametrize("name", ["m.safetensors", "m.pth", "m"])
def test_safetensors_are_known_by_their_content(tmp_path, name):
    save_file(TABLE, tmp_path / name)
    assert same(dict(sorted(read_state(tmp_path / name).items(), reverse=True)))


def test_the_prefix_of_parallel_training_is_removed(tmp_path):
    torch.save({f"module.{key}": value for key, value in TABLE.items()}, tmp_path / "m.pkl")
    assert same(read_state(tmp_path / "m.pkl"))


@pytest.mark.parametrize(
    "content",
    [b"", b"no weights", b"PK\x03\x04broken", b"\x80\x02broken", b"\x40" + bytes(7) + b'{"a": 1'],
)
def test_a_file_that_is_no_weight_file_is_a_typed_error(tmp_path, content):
    path = tmp_path / "m.pth"
    path.write_bytes(content)
    with pytest.raises(MachineError, match=r"m\.pth is no readable weight file") as caught:
        read_state(path)
    assert caught.value.reason is Reason.MODEL_UNAVAILABLE


@pytest.mark.parametrize(
    ("thing", "found"),
    [([1, 2], "list"), ({"epoch": 3, "lr": 0.1}, "epoch, lr"), ({}, "no table")],
)
def test_a_file_of_other_things_is_refused_by_what_it_holds(tmp_path, thing, found):
    torch.save(thing, tmp_path / "m.pth")
    with pytest.raises(MachineError, match=found):
        read_state(tmp_path / "m.pth")


def test_a_file_cannot_run_code(tmp_path):
    torch.save({"params": {"x": print}}, tmp_path / "m.pth")
    with pytest.raises(MachineError):
        read_state(tmp_path / "m.pth")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MachineError, match=r"there is no weight file .*gone\.pth"):
        read_state(tmp_path / "gone.pth")
