"""Interpolation by dense optical flow: needs no network and no download.

Flow both ways comes from OpenCV's DIS (Kroeger et al., Fast Optical Flow using Dense Inverse
Search, 2016) on luma. For a time t, three guesses of the motion through each pixel are made: the
flow of either frame carried forward to t (splatted) and the mean of both where they stand (Jiang
et al., Super SloMo, 2018). The guess under which both frames agree best wins; both frames are
sampled along it and mixed by their nearness in time, except where a frame cannot show the pixel:
it would leave the picture, or the other frame's content has no counterpart there (forward-backward
check). Where following the motion explains a region no better than standing still does, the result
goes over into plain blending: fades, grain and flashes come out no worse than by blending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from remote_runner.models.warping import lands_inside, resize, sample, smooth, splat

#: Longest side, in pixels, on which flow is searched; larger frames are reduced for the search.
_LONGEST = 960
#: Shortest side that the search accepts; smaller frames are padded.
_SHORTEST = 32
#: Strength of the forward-backward check and of the difference in colour in a flow's weight.
_MISMATCH, _DIFFERENCE = 1.0, 40.0
#: Share of a frame that is kept although only the other one shows the pixel.
_KEPT = 0.1
#: How much smaller than another guess's difference (of 1) makes a guess win.
_CHOICE = 0.004
#: Difference after motion over difference without: flow is used up to the first, blending from
#: the second value on.
_FLOW_UP_TO, _BLEND_FROM = 0.5, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Motion:
    """What is known of a pair, for every t. At the size of the search, float32."""

    first: Tensor
    second: Tensor
    forward: Tensor
    """Flow from the first frame to the second."""
    backward: Tensor
    trust_first: Tensor
    """Weight of each pixel of ``forward``, 1×1×H×W in (0, 1]."""
    trust_second: Tensor
    hidden_first: Tensor
    """1 where the first frame's content has no counterpart in the second, 0 where it has."""
    hidden_second: Tensor


class FlowInterpolator:
    """An :class:`~remote_runner.models.base.Interpolator`; the search runs on the CPU, the rest on
    the device of the frames."""

    name = "dis"
    macs_per_pixel = 80_000
    """Measured beside the shipped upscaler on two cores: a frame takes about as long as in a
    network of this size."""

    def __init__(self) -> None:
        cv2.setNumThreads(torch.get_num_threads())
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._search.setFinestScale(0)

    def between(self, first: Tensor, second: Tensor) -> Callable[[float], Tensor]:
        """Two 1×3×H×W RGB frames in [0, 1] → a function from t in (0, 1) to the frame at t.

        The result has the dtype and device of the frames. The first call does the search.
        """
        if first.shape != second.shape or first.shape[:2] != (1, 3):
            raise ValueError(f"two 1×3×H×W frames, not {first.shape} and {second.shape}")

        @cache
        def motion() -> _Motion:
            return self._measure(first.float(), second.float())

        def at(t: float) -> Tensor:
            if not 0 < t < 1:
                raise ValueError(f"t must lie between 0 and 1, not {t}")
            with torch.inference_mode():
                return _compose(first.float(), second.float(), motion(), t).to(first.dtype)

        return at

    def _measure(self, first: Tensor, second: Tensor) -> _Motion:
        height, width = first.shape[-2:]
        factor = min(1.0, _LONGEST / max(height, width))
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        if factor < 1:
            first, second = (functional.interpolate(f, size, mode="area") for f in (first, second))
        luma_first, luma_second = _luma(first), _luma(second)
        forward = self._flow(luma_first, luma_second).to(first.device)
        backward = self._flow(luma_second, luma_first).to(first.device)
        trust_first, hidden_first = _examine(first, second, forward, backward)
        trust_second, hidden_second = _examine(second, first, backward, forward)
        return _Motion(
            first=first,
            second=second,
            forward=forward,
            backward=backward,
            trust_first=trust_first,
            trust_second=trust_second,
            hidden_first=hidden_first,
            hidden_second=hidden_second,
        )

    def _flow(self, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> Tensor:
        height, width = source.shape
        below, right = max(0, _SHORTEST - height), max(0, _SHORTEST - width)
        if below or right:
            source, target = (
                np.pad(luma, ((0, below), (0, right)), "edge") for luma in (source, target)
            )
        # OpenCV takes None for "no first guess", its stub does not know.
        found = np.asarray(self._search.calc(source, target, None))  # type: ignore[call-overload]
        return torch.from_numpy(found[:height, :width].copy()).permute(2, 0, 1)[None]


def _examine(here: Tensor, there: Tensor, flow: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """How far ``flow`` can be trusted, and where it leads to nothing (see ``_Motion``)."""
    returned = sample(back, flow)
    length = flow.square().sum(1, True) + returned.square().sum(1, True)
    # The usual tolerance of the check: a hundredth of the motion and half a pixel.
    mismatch = (flow + returned).square().sum(1, True) / (0.5 + 0.01 * length)
    difference = smooth((here - sample(there, flow)).abs().mean(1, True), 3)
    trust = torch.exp(-_MISMATCH * mismatch.clamp(max=8) - _DIFFERENCE * difference) + 1e-4
    hidden = 1 - torch.exp(-0.5 * _MISMATCH * mismatch) * lands_inside(flow)
    return trust, hidden


def _compose(first: Tensor, second: Tensor, motion: _Motion, t: float) -> Tensor:
    height, width = first.shape[-2:]
    small_height, small_width = motion.first.shape[-2:]
    through = _choose(motion, t)
    share_first, share_second = _shares(motion, through, t)
    blending = _blending(motion, through, t)

    scale = torch.tensor([width / small_width, height / small_height], device=first.device)
    through = resize(through, height, width) * scale.view(1, 2, 1, 1)
    share = resize(share_first / (share_first + share_second), height, width)
    blending = resize(blending, height, width)
    moved_first = sample(first, -t * through, "bicubic")
    moved_second = sample(second, (1 - t) * through, "bicubic")
    moved = moved_second + share * (moved_first - moved_second)
    blend = (1 - t) * first + t * second
    return (moved + blending * (blend - moved)).clamp(0, 1)


def _choose(motion: _Motion, t: float) -> Tensor:
    """Motion from the first to the second frame through each pixel of the frame at t."""
    guesses = [
        splat(motion.forward, t * motion.forward, motion.trust_first),
        splat(-motion.backward, (1 - t) * motion.backward, motion.trust_second),
        (1 - t) * motion.forward - t * motion.backward,
    ]
    differences = [smooth(_difference(motion, guess, t), 5) for guess in guesses]
    chosen = torch.softmax(-torch.cat(differences, 1) / _CHOICE, 1)
    parts = [chosen[:, i : i + 1] * guess for i, guess in enumerate(guesses)]
    return torch.stack(parts).sum(0)


def _shares(motion: _Motion, through: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """How much of either frame goes into each pixel at t (not normalised)."""
    to_first, to_second = -t * through, (1 - t) * through
    # Content that one frame hides is the other frame's to give.
    share_first = (1 - t) * (_KEPT + sample(motion.hidden_first, to_first))
    share_second = t * (_KEPT + sample(motion.hidden_second, to_second))
    return (
        share_first * (lands_inside(to_first) + 1e-3),
        share_second * (lands_inside(to_second) + 1e-3),
    )


def _blending(motion: _Motion, through: Tensor, t: float) -> Tensor:
    """0 where the motion explains the pair, 1 where plain blending is the safer guess."""
    to_first, to_second = -t * through, (1 - t) * through
    seen = (1 - sample(motion.hidden_first, to_first)) * lands_inside(to_first)
    seen = seen * (1 - sample(motion.hidden_second, to_second)) * lands_inside(to_second) + 0.01
    window = max(5, min(seen.shape[-2:]) // 6) | 1
    moving = smooth(_difference(motion, through, t) * seen, window) / smooth(seen, window)
    standing = smooth((motion.first - motion.second).abs().mean(1, True), window)
    # Half a step of 8 bit: a difference that small is no reason to move anything.
    ratio = (moving + 0.5 / 255) / (standing + 1e-4)
    return ((ratio - _FLOW_UP_TO) / (_BLEND_FROM - _FLOW_UP_TO)).clamp(0, 1)


def _difference(motion: _Motion, through: Tensor, t: float) -> Tensor:
    first = sample(motion.first, -t * through)
    second = sample(motion.second, (1 - t) * through)
    return (first - second).abs().mean(1, True)


def _luma(frame: Tensor) -> NDArray[np.uint8]:
    """BT.601 luma of R'G'B', H×W, 8 bit, on the CPU."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=frame.device).view(1, 3, 1, 1)
    luma = (frame * weights).sum(1)[0] * 255
    return np.ascontiguousarray(luma.round().clamp(0, 255).to(torch.uint8).cpu().numpy())
