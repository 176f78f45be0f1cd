"""What the name of a container image tells of the cards that it can use."""

from __future__ import annotations

import re

# cuda12.8, cuda-12.8.1 or the short form of PyTorch's wheels, cu128
_LONG = re.compile(r"(?<![a-z])cuda-?(\d+)\.(\d+)")
_SHORT = re.compile(r"(?<![a-z])cu(\d{2})(\d)(?!\d)")


def parse_image_cuda(image: str) -> float | None:
    """The CUDA release that an image's tag names, ``12.8``; none where it names none.

    Images called ``cuda`` have it as their version: ``nvidia/cuda:12.8.1-runtime``.
    """
    path, _, tag = image.lower().partition("@")[0].rpartition("/")[2].partition(":")
    found = _LONG.search(tag) or _SHORT.search(tag)
    if found is None and path == "cuda":
        found = re.match(r"(\d+)\.(\d+)", tag)
    return float(f"{found[1]}.{found[2]}") if found else None


def capabilities(cuda: float) -> tuple[float, float]:
    """Lowest and highest compute capability for which PyTorch built with this CUDA has kernels.

    The builds of one CUDA release lost old cards over time; these are the narrowest bounds.
    PyTorch's ``RELEASE.md``, "PyTorch CUDA Support Matrix", for 2.6 to 2.12: 11.8, 12.4 and 12.6
    have 5.0 to 9.0; 12.8 and 12.9 have 7.5 to 12.0 (2.8 dropped 5.0 and 6.0, 2.11 dropped 7.0);
    13.x has 7.5 to 12.0. CUDA before 11.8 cannot build for 9.0.
    """
    if cuda < 11.8:
        return 5.0, 8.6
    return (5.0, 9.0) if cuda < 12.8 else (7.5, 12.0)
