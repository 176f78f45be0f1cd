"""Reads the parameters of a network from a file of any usual kind, and checks them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from remote_runner.errors import MachineError
from remote_runner.protocol import Reason

log = logging.getLogger(__name__)

#: Where files keep their parameters beside other things; the first that is there counts.
_WRAPPERS = ("params_ema", "params", "state_dict", "model")
_NAMED = 4


def read_state(path: Path) -> dict[str, Tensor]:
    """The parameters in a weight file of PyTorch or safetensors, told apart by content.

    Taken from under ``params_ema``, ``params``, ``state_dict`` or ``model`` where there is such a
    key; a prefix ``module.`` of all names is removed. Code in a file is never run. Raises
    :class:`MachineError` (``model_unavailable``).
    """
    if not path.is_file():
        raise MachineError(Reason.MODEL_UNAVAILABLE, f"there is no weight file {path}")
    raw: Any = _load(path)
    for key in _WRAPPERS:
        if isinstance(raw, Mapping) and isinstance(raw.get(key), Mapping):
            raw = raw[key]
            break
    if not isinstance(raw, Mapping):
        raise _unreadable(path, f"it holds a {type(raw).__name__}, no table of parameters")
    odd = [key for key, value in raw.items() if not isinstance(value, Tensor)]
    if odd or not raw or not all(isinstance(key, str) for key in raw):
        raise _unreadable(path, f"it holds no table of parameters but {_some(raw)}")
    if all(key.startswith("module.") for key in raw):
        return {key.removeprefix("module."): value for key, value in raw.items()}
    return dict(raw)


def check_shapes(
    state: Mapping[str, Tensor],
    expected: Mapping[str, tuple[int, ...]],
    family: str,
    *,
    more: bool = False,
) -> None:
    """Every parameter that is expected, in its shape; others only where ``more`` allows them."""
    if missing := [key for key in expected if key not in state]:
        raise unfit(family, f"missing: {_some(missing)}")
    extra = [key for key in state if key not in expected]
    if extra and not more:
        raise unfit(family, f"not part of this network: {_some(extra)}")
    for key, shape in expected.items():
        if tuple(state[key].shape) != shape:
            raise unfit(family, f"{key} has shape {tuple(state[key].shape)}, not {shape}")


def describe(state: Mapping[str, Tensor]) -> str:
    """What a file holds, in one line for messages."""
    return f"{len(state)} parameters ({_some(state)})"


def unfit(family: str, what: str) -> MachineError:
    return MachineError(
        Reason.MODEL_UNAVAILABLE, f"the weights do not fit a {family} network: {what}"
    )


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # a safetensors file begins with the length of its header, eight bytes, and a JSON object
        if start[8:] == b"{":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of a stranger makes its reader fail in any way
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise _unreadable(path, why) from error


def _unreadable(path: Path, why: str) -> MachineError:
    return MachineError(Reason.MODEL_UNAVAILABLE, f"{path} is no readable weight file: {why}")


def _some(names: Any) -> str:
    listed = [str(name) for name in names]
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
