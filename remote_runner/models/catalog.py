"""The models that can be asked for by name.

URLs, sizes and hashes of the published files: the releases of github.com/xinntao/Real-ESRGAN, and
for RIFE the copies of its authors' files at github.com/HolyWu/vs-rife. A release can be changed by
its owner, so the hash decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from remote_runner.models.fetch import Download

AUTO = "auto"
#: What ``auto`` stands for by the type of the device. On a processor, what needs no download: so
#: nothing is fetched unasked there, and it is what a machine falls back to that cannot fetch.
AUTO_UPSCALERS = {"cuda": "realesr-general-x4v3", "cpu": "starter"}
AUTO_INTERPOLATORS = {"cuda": "rife-4.25", "cpu": "flow"}
SHIPPED_INTERPOLATOR = "flow"

_ESRGAN = "https://github.com/xinntao/Real-ESRGAN/releases/download"
_RIFE = "https://github.com/HolyWu/vs-rife/releases/download/model"
_BSD = "BSD-3-Clause (Xintao Wang)"
_MIT = "MIT (Zhewei Huang)"


class Family(StrEnum):
    """Which kind of network it is."""

    COMPACT = "SRVGGNetCompact"
    RRDB = "RRDBNet"
    RIFE = "IFNet"
    FLOW = "optical flow"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model of the catalog."""

    name: str
    family: Family
    file: str = ""
    """Its name where it is shipped or mirrored; empty where there is none."""
    scale: int = 1
    licence: str
    """SPDX identifier and who holds the rights."""
    when: str
    """When to take it, in one line."""
    macs_per_pixel: int
    """Multiply-accumulates per input pixel, of an interpolator per new frame."""
    download: Download | None = None
    """Where it is fetched from; none where it is shipped."""


def _published(file: str, release: str, size: int | None, sha256: str) -> Download:
    return Download(url=f"{release}/{file}", bytes=size, sha256=sha256)


_GENERAL = "realesr-general-x4v3"

#: Upscalers by name.
CATALOG = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="starter",
            family=Family.COMPACT,
            file="starter-x2.pth",
            scale=2,
            licence="MIT (noxfvr)",
            when="always there, small and fast, true to the source: the choice without a GPU",
            macs_per_pixel=78_048,
        ),
        ModelSpec(
            name="realesr-animevideov3",
            family=Family.COMPACT,
            file="realesr-animevideov3.pth",
            scale=4,
            licence=_BSD,
            when="animation and line art: redraws sharp lines and removes compression",
            macs_per_pixel=619_200,
            download=_published(
                "realesr-animevideov3.pth",
                f"{_ESRGAN}/v0.2.5.0",
                2_504_012,
                "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
            ),
        ),
        ModelSpec(
            name=_GENERAL,
            family=Family.COMPACT,
            file="realesr-general-x4v3.pth",
            scale=4,
            licence=_BSD,
            when="filmed material that is noisy or compressed: cleans and invents detail",
            macs_per_pixel=1_209_024,
            download=_published(
                "realesr-general-x4v3.pth",
                f"{_ESRGAN}/v0.2.5.0",
                4_885_111,
                "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
            ),
        ),
        ModelSpec(
            name="RealESRGAN_x4plus",
            family=Family.RRDB,
            file="RealESRGAN_x4plus.pth",
            scale=4,
            licence=_BSD,
            when="filmed material where time does not matter: the most detail, often invented",
            macs_per_pixel=17_926_848,
            download=_published(
                "RealESRGAN_x4plus.pth",
                f"{_ESRGAN}/v0.1.0",
                67_040_989,
                "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
            ),
        ),
        ModelSpec(
            name="RealESRGAN_x4plus_anime_6B",
            family=Family.RRDB,
            file="RealESRGAN_x4plus_anime_6B.pth",
            scale=4,
            licence=_BSD,
            when="drawn stills and slow animation: finer lines than realesr-animevideov3",
            macs_per_pixel=5_706_432,
            download=_published(
                "RealESRGAN_x4plus_anime_6B.pth",
                f"{_ESRGAN}/v0.2.2.4",
                17_938_799,
                "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
            ),
        ),
        ModelSpec(
            name="RealESRGAN_x2plus",
            family=Family.RRDB,
            file="RealESRGAN_x2plus.pth",
            scale=2,
            licence=_BSD,
            when="filmed material that only has to be doubled: a quarter of the work of x4plus",
            macs_per_pixel=4_483_008,
            download=_published(
                "RealESRGAN_x2plus.pth",
                f"{_ESRGAN}/v0.2.1",
                67_061_725,
                "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
            ),
        ),
    )
}

#: The twin of ``realesr-general-x4v3`` that keeps noise: the other end of its strength.
NOISE_KEEPER = ModelSpec(
    name="realesr-general-wdn-x4v3",
    family=Family.COMPACT,
    file="realesr-general-wdn-x4v3.pth",
    scale=4,
    licence=_BSD,
    when="never by itself: it is what denoise mixes in",
    macs_per_pixel=1_209_024,
    download=_published(
        "realesr-general-wdn-x4v3.pth",
        f"{_ESRGAN}/v0.2.5.0",
        4_885_111,
        "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
    ),
)

#: Interpolators by name.
INTERPOLATORS = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="flow",
            family=Family.FLOW,
            licence="MIT (noxfvr); OpenCV: Apache-2.0",
            when="always there, no network: the choice without a GPU",
            macs_per_pixel=0,
        ),
        ModelSpec(
            name="rife-4.6",
            family=Family.RIFE,
            file="flownet_v4.6.pkl",
            licence=_MIT,
            when="animation, or where it is the faster one on a card: fewer, wider steps",
            macs_per_pixel=41_946,
            download=_published(
                "flownet_v4.6.pkl",
                _RIFE,
                None,
                "008646e761f0e67cb77f0c6c44cfe3c3e5a05d9d9465311b9681ca650ce030db",
            ),
        ),
        ModelSpec(
            name="rife-4.25",
            family=Family.RIFE,
            file="flownet_v4.25.pkl",
            licence=_MIT,
            when="nearly everything: what the authors of RIFE advise",
            macs_per_pixel=20_702,
            download=_published(
                "flownet_v4.25.pkl",
                _RIFE,
                24_636_301,
                "6615790efd627772917205db291f51cd392528a157ecbb2ecaeec3bff8eb6de2",
            ),
        ),
        ModelSpec(
            name="rife-4.26",
            family=Family.RIFE,
            file="flownet_v4.26.pkl",
            licence=_MIT,
            when="where 4.25 leaves artefacts: the same network, trained later",
            macs_per_pixel=20_702,
            download=_published(
                "flownet_v4.26.pkl",
                _RIFE,
                24_636_301,
                "45c7f74156704769dc9f85cfcaf8552e1e926f9399dcfa3a553dee88fac6f53f",
            ),
        ),
    )
}

ALL: Mapping[str, ModelSpec] = {**CATALOG, **INTERPOLATORS}


def choose(wish: str, auto: Mapping[str, str], device_type: str) -> str:
    """The name that ``auto`` stands for on such a device; any other wish as it is."""
    return auto.get(device_type, auto["cpu"]) if wish == AUTO else wish


def shipped_dir() -> Path:
    """``NOXFVR_MODELS_DIR``, else ``data/models`` beside the package."""
    override = os.environ.get("NOXFVR_MODELS_DIR")
    return Path(override) if override else Path(__file__).parents[2] / "data" / "models"
