import pytest
import torch

from remote_runner.errors import MachineError
from remote_runner.models.srvgg import SRVGGNetCompact, Structure, build, deduce_structure
from remote_runner.protocol import Reason


def state(**numbers):
    return SRVGGNetCompact(Structure(**numbers)).state_dict()


@pytest.mark.parametrize(
    "numbers",
    [
        {"num_feat": 64, "num_conv": 16, "scale": 4},
        {"num_feat": 8, "num_conv": 2, "scale": 2},
        {"num_feat": 4, "num_conv": 0, "scale": 1},
        {"num_feat": 5, "num_conv": 3, "scale": 3},
    ],
)
def test_the_structure_is_read_off_the_parameters(numbers):
    assert deduce_structure(state(**numbers)) == Structure(**numbers)


def test_published_sizes_of_the_two_video_models():
    # parameters as counted in the published files
    for num_conv, count in ((16, 621_424), (32, 1_213_296)):
        network = SRVGGNetCompact(Structure(num_feat=64, num_conv=num_conv, scale=4))
        assert sum(each.numel() for each in network.parameters()) == count


def test_a_file_that_lacks_or_adds_something_is_refused_with_its_name():
    good = state(num_feat=4, num_conv=1, scale=2)
    for key in good:
        lacking = {name: value for name, value in good.items() if name != key}
        with pytest.raises(MachineError) as caught:
            deduce_structure(lacking)
        assert caught.value.reason is Reason.MODEL_UNAVAILABLE
    with pytest.raises(MachineError, match="not part of this network: tail"):
        deduce_structure({**good, "tail": torch.zeros(1)})
    with pytest.raises(MachineError, match="shape"):
        deduce_structure({**good, "body.2.weight": torch.zeros(4, 4, 1, 1)})


def test_the_network_adds_detail_to_its_enlarged_input():
    network = build(
        {k: torch.zeros_like(v) for k, v in state(num_feat=4, num_conv=1, scale=2).items()}
    )
    frames = torch.rand(2, 3, 5, 7)
    larger = frames.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(network(frames), larger)


def test_the_receptive_radius_is_exact():
    numbers = Structure(num_feat=4, num_conv=2, scale=2)
    torch.manual_seed(1)
    network = SRVGGNetCompact(numbers).double()
    frames = torch.rand(1, 3, 21, 21, dtype=torch.double)
    touched = frames.clone()
    touched[0, :, 10, 10] += 0.1
    changed = (network(frames) - network(touched)).abs().sum(1)[0] > 0
    rows = changed.any(1).nonzero().flatten() // 2
    assert (int(rows.min()), int(rows.max())) == (
        10 - numbers.receptive_radius,
        10 + numbers.receptive_radius,
    )
