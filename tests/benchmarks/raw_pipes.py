# ruff: noqa: T201
"""A decoder and an encoder as processes of their own, with raw BGR pictures on pipes.

They play the two ffmpeg processes that the reference's video script talks to. Each says ``ready``
on standard error when its libraries are loaded, and at its end how much memory it took; the
decoder begins at a line on standard input.
"""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

#: What every engine that is compared encodes with: our own default.
ENCODER = "libx264"
OPTIONS = {"crf": "18", "preset": "medium"}

Pixels = NDArray[np.uint8]


class RawReader:
    """The decoder's end of a pipe: pictures of H×W×3 BGR."""

    def __init__(self, clip: Path, width: int, height: int) -> None:
        self._shape = height, width, 3
        self._process = _start("decode", clip)

    def begin(self) -> None:
        assert self._process.stdin
        self._process.stdin.write(b"go\n")
        self._process.stdin.close()

    def read(self) -> Pixels | None:
        assert self._process.stdout
        size = int(np.prod(self._shape))
        taken = self._process.stdout.read(size)
        return np.frombuffer(taken, np.uint8).reshape(self._shape) if taken else None

    def close(self) -> int:
        """Wait for the process to end; its peak resident memory in bytes."""
        return _end(self._process)


class RawWriter:
    """The encoder's end of a pipe."""

    def __init__(self, output: Path, width: int, height: int, rate: Fraction) -> None:
        self._process = _start("encode", output, width, height, rate)

    def write(self, picture: Pixels) -> None:
        assert self._process.stdin
        self._process.stdin.write(picture.astype(np.uint8).tobytes())

    def close(self) -> int:
        """Wait for the file to be complete; the process's peak resident memory in bytes."""
        assert self._process.stdin
        self._process.stdin.close()
        return _end(self._process)


def open_encoder(target: av.container.OutputContainer, width: int, height: int, rate: Fraction):
    stream = target.add_stream(ENCODER, rate=rate, options=OPTIONS)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


def _start(*arguments: object) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    if process.stderr.readline() != b"ready\n":
        raise RuntimeError(process.stderr.read().decode())
    return process


def _end(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout and process.stderr
    said = process.stderr.read().decode()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(said)
    return int(said)


def peak_memory() -> int:
    """Most resident bytes of this process since it began; proc(5), VmHWM."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1]) * 1024


def _decode(clip: str) -> None:
    sys.stdin.readline()
    with av.open(clip) as source:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in source.decode(stream):
            sys.stdout.buffer.write(frame.to_ndarray(format="bgr24").tobytes())


def _encode(output: str, width: str, height: str, rate: str) -> None:
    shape = int(height), int(width), 3
    with av.open(output, "w") as target:
        stream = open_encoder(target, shape[1], shape[0], Fraction(rate))
        while raw := sys.stdin.buffer.read(int(np.prod(shape))):
            pixels = np.frombuffer(raw, np.uint8).reshape(shape)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        target.mux(stream.encode(None))


if __name__ == "__main__":
    print("ready", file=sys.stderr, flush=True)
    {"decode": _decode, "encode": _encode}[sys.argv[1]](*sys.argv[2:])
    print(peak_memory(), file=sys.stderr)
