"""The clip that engines are compared on: the shipped sample at another size, without sound."""

from __future__ import annotations

from pathlib import Path

import av

from tests.benchmarks.engine_networks import ROOT

SAMPLE = ROOT / "data" / "samples" / "sample.mp4"


def make_clip(path: Path, size: tuple[int, int], frames: int) -> Path:
    """The first ``frames`` frames of the sample, played forth and back where it is shorter.

    No two neighbours are equal, so that nobody can gain by skipping one.
    """
    with av.open(str(SAMPLE)) as source:
        stream = source.streams.video[0]
        rate = stream.average_rate
        pictures = [
            frame.reformat(*size, "yuv420p", interpolation="BICUBIC")
            for _, frame in zip(range(frames), source.decode(stream), strict=False)
        ]
    with av.open(str(path), "w") as target:
        new = target.add_stream("libx264", rate=rate, options={"crf": "12"})
        new.width, new.height, new.pix_fmt = *size, "yuv420p"
        for place in range(frames):
            lap, step = divmod(place, max(1, len(pictures) - 1))
            frame = pictures[len(pictures) - 1 - step if lap % 2 else step]
            frame.pts, frame.pict_type = place, 0
            frame.time_base = 1 / rate
            target.mux(new.encode(frame))
        target.mux(new.encode(None))
    return path
