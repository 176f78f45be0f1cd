"""How pictures are compared: on luma, rounded to 8 bit, the way a viewer gets them."""

from __future__ import annotations

import numpy as np
from images import Picture
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

#: Identical pictures count as this many dB, so that a mean stays finite.
CEILING_DB = 60.0


def luma(picture: Picture, *, shave: int = 0) -> NDArray[np.float64]:
    """BT.601 luma in [0, 255] without a rim of ``shave`` pixels."""
    values = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return values[shave : values.shape[0] - shave, shave : values.shape[1] - shave]


def psnr(found: Picture, wanted: Picture, *, shave: int = 0) -> float:
    """Peak signal-to-noise ratio of luma in dB, at most ``CEILING_DB``."""
    error = float(np.mean((luma(found, shave=shave) - luma(wanted, shave=shave)) ** 2))
    return CEILING_DB if error == 0 else min(CEILING_DB, 10 * np.log10(255**2 / error))


def ssim(found: Picture, wanted: Picture, *, shave: int = 0) -> float:
    """Structural similarity of luma (Wang et al., 2004: Gaussian window, sigma 1.5)."""
    return float(
        structural_similarity(
            luma(found, shave=shave),
            luma(wanted, shave=shave),
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )
