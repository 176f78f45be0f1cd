"""The upscaling models that can be asked for by name.

URLs, sizes and hashes of the published files: release ``v0.2.5.0`` of
github.com/xinntao/Real-ESRGAN. A release can be changed by its owner, so the hash decides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from remote_runner.errors import InputError
from remote_runner.models.fetch import Download
from remote_runner.protocol import Reason

#: What ``auto`` stands for: the model that needs no download, so that nothing is fetched unasked.
AUTO = "starter"

_RELEASE = "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.5.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model of the catalog."""

    name: str
    file: str
    scale: int
    licence: str
    """SPDX identifier and who holds the rights."""
    when: str
    """When to take it, in one line."""
    download: Download | None = None
    """Where it is fetched from; none where it is shipped."""


CATALOG = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="starter",
            file="starter-x2.pth",
            scale=2,
            licence="MIT (noxfvr)",
            when="always there, small and fast, true to the source: the choice without a GPU",
        ),
        ModelSpec(
            name="realesr-animevideov3",
            file="realesr-animevideov3.pth",
            scale=4,
            licence="BSD-3-Clause (Xintao Wang)",
            when="animation and line art: redraws sharp lines and removes compression",
            download=Download(
                url=f"{_RELEASE}/realesr-animevideov3.pth",
                bytes=2_504_012,
                sha256="b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d",
            ),
        ),
        ModelSpec(
            name="realesr-general-x4v3",
            file="realesr-general-x4v3.pth",
            scale=4,
            licence="BSD-3-Clause (Xintao Wang)",
            when="filmed material that is noisy or compressed: cleans and invents detail",
            download=Download(
                url=f"{_RELEASE}/realesr-general-x4v3.pth",
                bytes=4_885_111,
                sha256="8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
            ),
        ),
    )
}


def find_model(name: str) -> ModelSpec:
    """The entry of that name, ``auto`` being ``AUTO``; else an :class:`InputError`."""
    spec = CATALOG.get(AUTO if name == "auto" else name)
    if spec is None:
        known = ", ".join(["auto", *CATALOG])
        raise InputError(Reason.BAD_TASK, f"there is no model {name!r}; known: {known}")
    return spec


def shipped_dir() -> Path:
    """``NOXFVR_MODELS_DIR``, else ``data/models`` beside the package."""
    override = os.environ.get("NOXFVR_MODELS_DIR")
    return Path(override) if override else Path(__file__).parents[2] / "data" / "models"
