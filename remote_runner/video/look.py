"""The gate's look at the picture: shape, orientation, colour tags."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from remote_runner.protocol import Check, Facts
from remote_runner.video.decode import Decoder
from remote_runner.video.signal import UNSPECIFIED, HdrSideData, Signal

#: Encoders count luminance and chromaticity in steps of their own (SMPTE ST 2086: 0.0001 cd/m²
#: and 0.00002); AV1 counts the most luminance in 1/256 cd/m².
_HDR_STEP, _LUMINANCE_STEP = 0.00011, 1 / 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What the first frame of a file says."""

    signal: Signal
    side_data: HdrSideData


def read_tags(path: Path, facts: Facts) -> Tags:
    """Decodes no more than the first frames."""
    decoder = Decoder(path, packets=facts.frames)
    try:
        return Tags(signal=decoder.signal, side_data=decoder.side_data)
    finally:
        decoder.close()


def check_rotation(after: Facts) -> Check:
    """The output is upright without the help of a player."""
    mirrored = "mirrored" in after.notes
    return Check(
        name="rotation",
        passed=after.rotation == 0 and not mirrored,
        detail=f"turned by {after.rotation}{', mirrored' if mirrored else ''}",
    )


def check_shape(before: Facts, after: Facts, picture: tuple[int, int] | None) -> Check:
    """Width × sample aspect ratio / height as shown, within a pixel of rounding.

    ``picture`` is the enlarged picture's size where borders or cuts set it apart from the file's.
    """
    width, height = picture or (after.width, after.height)
    wanted = before.width * ratio_of(before) / before.height
    found = width * ratio_of(after) / height
    return Check(
        name="shape",
        passed=abs(found / wanted - 1) <= 1 / width + 1 / height + 1e-4,
        detail=f"{width}x{height}, samples {after.sar}, is {found:.4f}:1, source {wanted:.4f}:1",
    )


def ratio_of(facts: Facts) -> float:
    """Width of a sample over its height."""
    wide, high = facts.sar.split(":")
    return int(wide) / int(high) if int(wide) and int(high) else 1.0


def check_colour(before: Facts, after: Facts, old: Signal, new: Signal) -> Check:
    """Matrix, range, transfer, primaries and depth; primaries that the source did not tell may
    be anything."""
    depth = 8 if before.bit_depth <= 8 else 10
    primaries = new.primaries if old.primaries in (UNSPECIFIED, 0, 3) else old.primaries
    wanted = (before.matrix, before.range, before.transfer, f"primaries {primaries}", str(depth))
    found = (
        after.matrix,
        after.range,
        after.transfer,
        f"primaries {new.primaries}",
        str(after.bit_depth),
    )
    return Check(
        name="colour",
        passed=found == wanted,
        detail=f"{'/'.join(found)}, source {'/'.join(wanted)}",
    )


def check_hdr(old: HdrSideData, new: HdrSideData) -> list[Check]:
    """Mastering display and light levels, where the source has them in full."""
    pairs = (
        ("mastering display", _mastering(old.mastering), _mastering(new.mastering)),
        ("light level", _light(old.light_level), _light(new.light_level)),
    )
    checks = []
    for name, wanted, found in pairs:
        if wanted is None:
            continue
        same = found is not None and all(
            abs(a - b) <= (_LUMINANCE_STEP if a >= 1 else _HDR_STEP)
            for a, b in zip(wanted, found, strict=True)
        )
        shown = "none" if found is None else " ".join(f"{each:g}" for each in found)
        source = " ".join(f"{each:g}" for each in wanted)
        checks.append(Check(name=name, passed=same, detail=f"{shown}, source {source}"))
    return checks


def _mastering(data: bytes | None) -> tuple[float, ...] | None:
    """Chromaticities of red, green, blue and white, least and most luminance; none where a part
    is not told, since encoders take the whole (FFmpeg's AVMasteringDisplayMetadata: ten fractions
    of 32-bit integers, two flags)."""
    if data is None or len(data) < 88:
        return None
    parts = struct.unpack("=20i2i", data[:88])
    if not (parts[20] and parts[21] and all(parts[1:20:2])):
        return None
    return tuple(a / b for a, b in zip(parts[0:20:2], parts[1:20:2], strict=True))


def _light(data: bytes | None) -> tuple[float, ...] | None:
    """MaxCLL and MaxFALL, cd/m² (FFmpeg's AVContentLightMetadata)."""
    return tuple(map(float, struct.unpack("=2I", data[:8]))) if data and len(data) >= 8 else None
