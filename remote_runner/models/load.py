"""From a model's name or a weight file to an upscaler that is ready to run."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from remote_runner.errors import MachineError
from remote_runner.models import catalog, srvgg
from remote_runner.models.base import Upscaler
from remote_runner.models.fetch import fetch
from remote_runner.protocol import Reason

log = logging.getLogger(__name__)


def load_upscaler(name: str, device: torch.device, *, cache_dir: Path | None = None) -> Upscaler:
    """The upscaler of that name in the catalog, or from a ``.pth`` file.

    float32 on a CPU, float16 on CUDA, channels last on both. Raises :class:`InputError`
    (``bad_task``) for an unknown name and :class:`MachineError` (``model_unavailable``) for a file
    that is missing, unreadable or not a compact network.
    """
    path = locate_weights(name, cache_dir=cache_dir)
    network = srvgg.build(read_state(path))
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    network.to(device=device, dtype=dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    structure = network.structure
    log.info("model %s from %s: %s", name, path, structure)
    return Upscaler(
        name=path.stem if _is_path(name) else catalog.find_model(name).name,
        scale=structure.scale,
        macs_per_pixel=structure.macs_per_pixel,
        receptive_radius=structure.receptive_radius,
        device=device,
        dtype=dtype,
        network=network,
    )


def locate_weights(name: str, *, cache_dir: Path | None = None) -> Path:
    """Where the weights of that name (or path) lie, fetched first where they must be."""
    if _is_path(name):
        return Path(name)
    spec = catalog.find_model(name)
    if spec.download is not None:
        return fetch(spec.download, cache_dir=cache_dir)
    return catalog.shipped_dir() / spec.file


def read_state(path: Path) -> dict[str, Tensor]:
    """The parameters in a weight file: under ``params_ema``, else ``params``, else the whole."""
    if not path.is_file():
        raise MachineError(Reason.MODEL_UNAVAILABLE, f"there is no weight file {path}")
    try:
        raw: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        detail = f"{path} is no readable weight file: {why}"
        raise MachineError(Reason.MODEL_UNAVAILABLE, detail) from error
    for key in ("params_ema", "params"):
        if isinstance(raw, Mapping) and key in raw:
            raw = raw[key]
            break
    if not isinstance(raw, Mapping) or not all(isinstance(v, Tensor) for v in raw.values()):
        raise MachineError(Reason.MODEL_UNAVAILABLE, f"{path} holds no table of parameters")
    return dict(raw)


def _is_path(name: str) -> bool:
    return name.endswith(".pth") or "/" in name
