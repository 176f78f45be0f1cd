"""From what a task asks for to a network that is ready to run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from remote_runner.errors import InputError, MachineError
from remote_runner.models import catalog, ifnet, rrdb, srvgg
from remote_runner.models.base import Interpolator, Upscaler
from remote_runner.models.flow import FlowInterpolator
from remote_runner.models.graphs import graphed
from remote_runner.models.ifnet_layout import is_rife
from remote_runner.models.rife import RifeInterpolator
from remote_runner.models.rrdb_structure import is_rrdb
from remote_runner.models.sources import Sources
from remote_runner.models.state import describe, read_state
from remote_runner.protocol import DENOISABLE, Reason

log = logging.getLogger(__name__)

T = TypeVar("T")
_NONE: Mapping[str, str] = {}


def load_upscaler(
    name: str,
    device: torch.device,
    *,
    denoise: float | None = None,
    weights: Mapping[str, str] = _NONE,
    allow_paths: bool = False,
    cache_dir: Path | None = None,
) -> Upscaler:
    """The upscaler of that name in the catalog, or from a weight file: see :class:`Sources`.

    float32 on a CPU, float16 on CUDA, channels last on both. ``denoise`` is the share, 0 to 1, of
    the model that removes noise in a mix with its twin that keeps it. Raises :class:`InputError`
    (``bad_task``) for what cannot be asked for and :class:`MachineError` (``model_unavailable``)
    for a file that is missing, unreadable or not a network for enlarging.
    """
    sources = Sources(weights=weights, allow_paths=allow_paths, cache_dir=cache_dir)
    name = catalog.choose(name, catalog.AUTO_UPSCALERS, device.type)
    if denoise is not None and name != DENOISABLE:
        raise InputError(Reason.BAD_TASK, f"denoise is for the model {DENOISABLE} alone")
    if name in catalog.INTERPOLATORS:
        raise InputError(Reason.BAD_TASK, f"{name} makes new frames, it does not enlarge any")
    state = _read_mixed(sources, denoise) if denoise is not None else _read(sources, name)
    network = _build_upscaler(state)
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    _settle(network, device, dtype)
    structure = network.structure
    log.info("model %s: %s", sources.label(name), structure)
    return Upscaler(
        name=sources.label(name),
        scale=structure.scale,
        macs_per_pixel=structure.macs_per_pixel,
        receptive_radius=structure.receptive_radius,
        alignment=structure.alignment,
        bytes_per_pixel=structure.bytes_per_pixel(dtype.itemsize),
        tail_bytes=_tail_bytes(network, dtype.itemsize),
        device=device,
        dtype=dtype,
        network=graphed(network, device),
    )


def load_interpolator(
    name: str,
    device: torch.device,
    *,
    weights: Mapping[str, str] = _NONE,
    allow_paths: bool = False,
    cache_dir: Path | None = None,
) -> Interpolator:
    """The interpolator of that name in the catalog, or from a weight file of RIFE.

    Convolutions in float16 on CUDA, flow and warping always in float32. Raises as
    :func:`load_upscaler` does.
    """
    sources = Sources(weights=weights, allow_paths=allow_paths, cache_dir=cache_dir)
    name = catalog.choose(name, catalog.AUTO_INTERPOLATORS, device.type)
    if name == catalog.SHIPPED_INTERPOLATOR:
        return FlowInterpolator()
    if name in catalog.CATALOG:
        raise InputError(Reason.BAD_TASK, f"{name} enlarges frames, it does not make new ones")
    network = ifnet.build(_read(sources, name))
    _settle(network, device, torch.float16 if device.type == "cuda" else torch.float32)
    log.info("interpolator %s: %s", sources.label(name), network.layout)
    interpolator = RifeInterpolator(network, name=sources.label(name), device=device)
    interpolator.run = graphed(network, device)
    return interpolator


def locate_weights(
    name: str,
    *,
    weights: Mapping[str, str] = _NONE,
    allow_paths: bool = False,
    cache_dir: Path | None = None,
) -> Path:
    """Where the weights of an upscaler lie, fetched first where they must be; ``auto`` is the
    shipped one."""
    sources = Sources(weights=weights, allow_paths=allow_paths, cache_dir=cache_dir)
    return sources.locate(catalog.choose(name, catalog.AUTO_UPSCALERS, "cpu"))


def or_shipped(
    wish: str, auto: Mapping[str, str], device: torch.device, load: Callable[[str], T]
) -> tuple[T, tuple[str, ...]]:
    """What was asked for; where ``auto`` chose it and it cannot be had, the shipped one.

    The second value is the notes about it.
    """
    name = catalog.choose(wish, auto, device.type)
    try:
        return load(name), ()
    except MachineError as error:
        if wish != catalog.AUTO or error.reason is not Reason.MODEL_UNAVAILABLE:
            raise
        shipped = auto["cpu"]
        if name == shipped:
            raise
        log.warning("%s; %s takes its place", error.detail, shipped)
        return load(shipped), (f"model_fallback:{name}",)


def _tail_bytes(
    network: srvgg.SRVGGNetCompact | rrdb.RRDBNet, itemsize: int
) -> Callable[[int], int]:
    if isinstance(network, rrdb.RRDBNet):
        return partial(network.structure.tail_bytes, itemsize=itemsize)
    return lambda _: 0


def _build_upscaler(state: Mapping[str, Tensor]) -> srvgg.SRVGGNetCompact | rrdb.RRDBNet:
    if srvgg.is_compact(state):
        return srvgg.build(state)
    if is_rrdb(state):
        return rrdb.build(state)
    what = "they are of RIFE, which makes new frames" if is_rife(state) else describe(state)
    raise MachineError(
        Reason.MODEL_UNAVAILABLE,
        f"the weights are of no network for enlarging that is known (SRVGG, RRDB): {what}",
    )


def _read(sources: Sources, name: str) -> dict[str, Tensor]:
    return read_state(sources.locate(name))


def _read_mixed(sources: Sources, share: float) -> dict[str, Tensor]:
    """Both twins, mixed linearly; at either end only the one that counts is needed."""
    if not 0 <= share <= 1:
        raise InputError(Reason.BAD_TASK, f"denoise must be 0 to 1, not {share:g}")
    if share == 1:
        return _read(sources, DENOISABLE)
    keeps = read_state(sources.fetch(catalog.NOISE_KEEPER))
    if share == 0:
        return keeps
    removes = _read(sources, DENOISABLE)
    if set(keeps) != set(removes):
        raise MachineError(Reason.MODEL_UNAVAILABLE, "the two twins are not of one structure")
    return {key: torch.lerp(keeps[key], removes[key], share) for key in removes}


def _settle(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    network.to(device=device, dtype=dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
