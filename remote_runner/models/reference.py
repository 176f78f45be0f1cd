"""The reference engine: the ``realesrgan`` package, one frame at a time, to compare ours with.

``RealESRGANer`` is used as ``inference_realesrgan_video.py`` of its authors uses it: no tiles, no
padding, half precision on CUDA, 8-bit BGR pictures in and out of host memory. It needs an
environment of its own (``make .venv-reference/.ready``); nothing else here imports it.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from remote_runner.errors import MachineError
from remote_runner.models import rrdb_structure, srvgg
from remote_runner.models.base import Upscaler
from remote_runner.models.load import locate_weights
from remote_runner.models.state import read_state
from remote_runner.protocol import Reason

#: What a person does about a missing package.
REMEDY = "make .venv-reference/.ready, then .venv-reference/bin/python -m remote_runner process …"

#: By how much basicsr's RRDBNet enlarges what it has folded.
_GROWTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One of the package's networks, as its classes build it."""

    module: torch.nn.Module
    """With random weights."""
    structure: srvgg.Structure | rrdb_structure.Structure


def load_reference(
    name: str,
    device: torch.device,
    *,
    weights: Mapping[str, str] | None = None,
    allow_paths: bool = False,
    cache_dir: Path | None = None,
) -> Upscaler:
    """The model of that name in the catalog, or of a ``.pth`` file, run by ``realesrgan``.

    Raises as :func:`~remote_runner.models.load.load_upscaler`, and :class:`MachineError`
    (``model_unavailable``) with the remedy where the package is not installed.
    """
    import_reference()
    path = locate_weights(
        name, weights=weights or {}, allow_paths=allow_paths, cache_dir=cache_dir
    )
    architecture = build_architecture(read_state(path))
    enhancer, structure = load_enhancer(path, architecture, device), architecture.structure

    def enlarge(frames: Tensor) -> Tensor:
        return torch.stack([_enhance(enhancer, frame, structure.scale) for frame in frames])

    return Upscaler(
        name=f"{path.stem} (realesrgan)",
        scale=structure.scale,
        macs_per_pixel=structure.macs_per_pixel,
        receptive_radius=structure.receptive_radius,
        alignment=structure.alignment,
        device=device,
        dtype=torch.float32,
        network=enlarge,
    )


def import_reference() -> ModuleType:
    """The ``realesrgan`` package, or :class:`MachineError` (``model_unavailable``).

    Its dependency basicsr 1.4.2 imports ``torchvision.transforms.functional_tensor``, a module
    that torchvision 0.17 removed. The one function it wants, ``rgb_to_grayscale``, is in
    ``torchvision.transforms.functional`` as well, which therefore goes by the old name too: for
    this process, and without touching any installed file.
    """
    if importlib.util.find_spec("realesrgan") is None:
        raise _unavailable(f"the realesrgan package is not installed: {REMEDY}")
    with warnings.catch_warnings():
        # what these unmaintained packages should do otherwise is nothing that a user can mend
        warnings.simplefilter("ignore")
        try:
            modern = importlib.import_module("torchvision.transforms.functional")
            sys.modules.setdefault("torchvision.transforms.functional_tensor", modern)
            return importlib.import_module("realesrgan")
        except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another torch
            why = str(error).splitlines()[0]
            raise _unavailable(f"realesrgan cannot be imported ({why}): {REMEDY}") from error


def build_architecture(state: Mapping[str, Tensor]) -> Architecture:
    """The package's network of a state dict; ``model_unavailable`` where there is none."""
    import_reference()
    if rrdb_structure.is_rrdb(state):
        return _build_rrdb(state)
    structure = srvgg.deduce_structure(state)
    archs = importlib.import_module("realesrgan.archs.srvgg_arch")
    module = archs.SRVGGNetCompact(
        num_feat=structure.num_feat, num_conv=structure.num_conv, upscale=structure.scale
    )
    return Architecture(module=module, structure=structure)


def load_enhancer(path: Path, architecture: Architecture, device: torch.device) -> Any:
    """A ``RealESRGANer`` with the weights of a file; raises as :func:`load_reference`."""
    try:
        return import_reference().RealESRGANer(
            scale=architecture.structure.scale,
            model_path=str(path),
            model=architecture.module,
            tile=0,
            pre_pad=0,
            half=device.type == "cuda",
            device=device,
        )
    except (KeyError, pickle.UnpicklingError) as error:
        detail = f"realesrgan reads .pth files with params or params_ema only, not {path}"
        raise _unavailable(detail) from error
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        raise _unavailable(f"realesrgan cannot load {path}: {why}") from error


def _enhance(enhancer: Any, frame: Tensor, scale: int) -> Tensor:
    """3×H×W RGB in [0, 1] → the same of ``scale`` times the size, both by way of 8 bits."""
    levels = frame.flip(0).permute(1, 2, 0).mul(255).round_().clamp_(0, 255).to(torch.uint8)
    picture: NDArray[np.uint8] = np.ascontiguousarray(levels.cpu().numpy())
    large, _ = enhancer.enhance(picture, outscale=scale)
    rgb = torch.from_numpy(large).to(frame.device).permute(2, 0, 1).flip(0)
    return rgb.to(torch.float32).div_(255)


def _build_rrdb(state: Mapping[str, Tensor]) -> Architecture:
    structure = rrdb_structure.deduce_structure(state)
    if structure.growth != _GROWTH:
        raise _unavailable(f"basicsr has no RRDB network that enlarges by {structure.growth}")
    archs = importlib.import_module("basicsr.archs.rrdbnet_arch")
    module = archs.RRDBNet(
        num_in_ch=3,
        num_out_ch=3,
        scale=structure.scale,
        num_feat=structure.num_feat,
        num_block=structure.num_block,
        num_grow_ch=structure.num_grow,
    )
    return Architecture(module=module, structure=structure)


def _unavailable(detail: str) -> MachineError:
    return MachineError(Reason.MODEL_UNAVAILABLE, detail)
