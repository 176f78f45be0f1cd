import json
from types import SimpleNamespace

import pytest
import torch

from remote_runner import devices
from remote_runner.__main__ import main
from remote_runner.errors import MachineError
from remote_runner.protocol import Reason


@pytest.fixture
def card(monkeypatch):
    """A CUDA device that calculates on the processor: its answers and errors are set here."""
    card = SimpleNamespace(memory=8 << 30, error=None, skew=0.0)
    to, ones = torch.Tensor.to, torch.ones

    def move(tensor, *arguments):
        if not isinstance(arguments[0], torch.device):
            return to(tensor, *arguments)
        if card.error:
            raise card.error
        return tensor + card.skew

    def first_kernel(*shape, device):
        if card.error:
            raise card.error
        return ones(*shape)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda device: SimpleNamespace(total_memory=card.memory),
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(torch, "ones", first_kernel)
    monkeypatch.setattr(torch.Tensor, "to", move)
    return card


def refuse(wish, min_memory=0):
    with pytest.raises(MachineError) as caught:
        devices.prove_device(wish, min_memory)
    return caught.value.reason, caught.value.detail


def test_a_processor_is_proven_whatever_memory_a_card_would_need():
    assert devices.prove_device("cpu", 1 << 60) == "cpu"


def test_a_card_that_calculates_right_is_proven(card):
    assert devices.prove_device("cuda", 8 << 30) == "a card"


@pytest.mark.parametrize(("wish", "number"), [("auto", 0), ("cuda", 0), ("cuda:1", 1)])
def test_a_card_is_chosen_with_its_number(card, wish, number):
    assert devices.choose_device(wish) == torch.device("cuda", number)


def test_a_card_with_too_little_memory_is_too_small(card):
    reason, detail = refuse("cuda", (8 << 30) + 1)
    assert (reason, detail) == (
        Reason.DEVICE_TOO_SMALL,
        "8589934592 bytes of memory, 8589934593 are needed",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "CUDA error: no kernel image is available for execution on the device\nCUDA kernel "
            "errors might be asynchronously reported",
            Reason.DEVICE_UNSUPPORTED,
        ),
        (
            "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH",
            Reason.DEVICE_UNSUPPORTED,
        ),
        ("CUDA error: device-side assert triggered", Reason.NO_DEVICE),
        ("", Reason.NO_DEVICE),
    ],
)
def test_what_cuda_says_becomes_a_reason(card, text, reason):
    card.error = RuntimeError(text)
    assert refuse("cuda") == (reason, f"cuda: {text.partition(chr(10))[0]}")


def test_errors_after_the_first_kernel_are_understood_as_well(card, monkeypatch):
    monkeypatch.setattr(torch, "ones", lambda *shape, device: torch.zeros(*shape) + 1)
    card.error = RuntimeError("no kernel image is available")
    assert refuse("cuda")[0] == Reason.DEVICE_UNSUPPORTED


@pytest.mark.parametrize("skew", [0.05, float("nan")])
def test_a_card_that_calculates_wrong_is_no_device(card, skew):
    card.skew = skew
    reason, detail = refuse("cuda")
    assert reason == Reason.NO_DEVICE
    assert detail.startswith("a card calculates wrong: convolution")


def test_the_command_prints_a_name_or_a_typed_error(capsys, monkeypatch):
    assert main(["device", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"device": "cpu"}
    assert main(["device", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "cpu\n"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["device", "--device", "cuda", "--min-memory", "1", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {"reason": "no_device", "detail": "this machine has no CUDA device"}


@pytest.fixture
def backends():
    """Settings of PyTorch's libraries, as they were before."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32
    yield torch.backends
    cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32 = before


def test_colours_keep_all_bits_of_float32_on_a_card(backends, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = True
    backends.cudnn.benchmark = False
    devices.tune_card(torch.device("cpu"))
    assert (chosen, backends.cudnn.benchmark) == ([], False)
    devices.tune_card(torch.device("cuda", 1))
    assert chosen == [torch.device("cuda", 1)]
    assert backends.cudnn.benchmark
    assert not backends.cuda.matmul.allow_tf32 and not backends.cudnn.allow_tf32


def test_the_processor_has_no_streams():
    with devices.own_stream(torch.device("cpu")):
        assert float(torch.ones(2).sum()) == 2


@pytest.mark.gpu
def test_work_on_a_card_goes_on_in_a_stream_of_its_own():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    device = torch.device("cuda", 0)
    ones = torch.ones(1 << 24, device=device)
    for _ in range(50):
        ones += 1
    with devices.own_stream(device):
        assert torch.cuda.current_stream(device) != torch.cuda.default_stream(device)
        # what the default stream was still at comes first
        assert float(ones.max()) == float(ones.min()) == 51
    assert torch.cuda.current_stream(device) == torch.cuda.default_stream(device)


@pytest.mark.gpu
def test_a_real_card_is_proven():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    total = torch.cuda.get_device_properties(0).total_memory
    assert devices.prove_device("cuda", total) == torch.cuda.get_device_name(0)
    assert refuse("cuda", total + 1)[0] == Reason.DEVICE_TOO_SMALL
