"""HDR shown on an ordinary screen: simple, for stills and previews, never for results.

Formulas: SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG), BT.2408 (203 cd/m² as the white of a page),
BT.2087 (BT.2020 to BT.709); highlights are compressed as Reinhard et al. 2002 do, equation 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from remote_runner.video.signal import Signal

_PQ = 16
_BT2020 = 9
_WHITE, _PEAK = 203.0, 1000.0
_TO_BT709 = (
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)


def to_sdr(rgb: Tensor, signal: Signal) -> Tensor:
    """RGB 3×H×W, 0 to 1, for a screen of BT.709; what is not HDR stays as it is."""
    if not signal.is_hdr:
        return rgb
    light = _from_pq(rgb.clamp(0, 1)) if signal.transfer == _PQ else _from_hlg(rgb.clamp(0, 1))
    light = light / _WHITE
    peak = _PEAK / _WHITE
    shown = (light * (1 + light / peak**2) / (1 + light)).clamp(0, 1)
    if signal.primaries == _BT2020:
        matrix = torch.tensor(_TO_BT709, device=rgb.device)
        shown = (matrix @ shown.reshape(3, -1)).reshape(shown.shape).clamp(0, 1)
    return shown.pow(1 / 2.2)


def lattice(signal: Signal, side: int = 33) -> str:
    """:func:`to_sdr` as a table in the .cube format (Adobe Cube LUT specification 1.0)."""
    steps = torch.linspace(0, 1, side)
    blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
    table = to_sdr(torch.stack((red, green, blue)).reshape(3, side * side, side), signal)
    rows = table.reshape(3, -1).T.tolist()
    return f"LUT_3D_SIZE {side}\n" + "".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in rows)


def _from_pq(code: Tensor) -> Tensor:
    """cd/m²."""
    powered = code.pow(4096 / (2523 * 128))
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    ratio = (powered - c1).clamp(min=0) / (c2 - c3 * powered)
    return 10_000 * ratio.pow(16_384 / 2610)


def _from_hlg(code: Tensor) -> Tensor:
    """cd/m² on a display of 1000."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = torch.where(code <= 0.5, code.square() / 3, (((code - c) / a).exp() + b) / 12)
    luminance = 0.2627 * scene[0] + 0.6780 * scene[1] + 0.0593 * scene[2]
    return _PEAK * luminance.clamp(min=1e-6).pow(0.2) * scene
