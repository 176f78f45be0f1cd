"""What each network of the catalog takes on this processor, beside realesr-animevideov3.

``python -m tests.runner.models.speed [WIDTHxHEIGHT]``: random weights, for speed does not depend
on them; all networks take turns, the median of five rounds counts.
"""

import statistics
import sys
import time

import torch

from remote_runner.models import catalog, ifnet, rrdb, srvgg
from remote_runner.models.catalog import Family
from remote_runner.models.ifnet_layout import V4_6, V4_25
from remote_runner.models.rife import RifeInterpolator
from remote_runner.models.rrdb_structure import Structure as Large
from remote_runner.models.srvgg import Structure as Compact
from tests.runner.models.published import draw_state

STRUCTURES = {
    "starter": Compact(num_feat=32, num_conv=8, scale=2),
    "realesr-animevideov3": Compact(num_feat=64, num_conv=16, scale=4),
    "realesr-general-x4v3": Compact(num_feat=64, num_conv=32, scale=4),
    "RealESRGAN_x4plus": Large(num_block=23),
    "RealESRGAN_x4plus_anime_6B": Large(num_block=6),
    "RealESRGAN_x2plus": Large(num_block=23, fold=2),
    "rife-4.6": V4_6,
    "rife-4.25": V4_25,
    "rife-4.26": V4_25,
}
ROUNDS = 5
#: All others are told as multiples of its time.
MEASURE = "realesr-animevideov3"


def build(name, width, height):
    """A function that makes one frame."""
    state = draw_state(STRUCTURES[name].shapes())
    frames = [torch.rand(1, 3, height, width) for _ in range(2)]
    if catalog.ALL[name].family is Family.RIFE:
        network = ifnet.build(state).to(memory_format=torch.channels_last)
        chain = RifeInterpolator(network, name=name, device=torch.device("cpu"))
        return lambda: chain.between(frames[0].clone(), frames[1])(0.5)
    module = srvgg if catalog.ALL[name].family is Family.COMPACT else rrdb
    network = module.build(state).to(memory_format=torch.channels_last)
    frame = frames[0].contiguous(memory_format=torch.channels_last)
    return lambda: network(frame)


def measure(width, height):
    """Median seconds a frame by name."""
    makers = {name: build(name, width, height) for name in STRUCTURES}
    times = {name: [] for name in makers}
    with torch.inference_mode():
        for turn in range(ROUNDS + 1):
            for name, make in makers.items():
                started = time.perf_counter()
                make()
                if turn:
                    times[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in times.items()}


def main():
    size = sys.argv[1] if len(sys.argv) > 1 else "160x96"
    width, height = map(int, size.split("x"))
    found = measure(width, height)
    print(f"{size}, {torch.get_num_threads()} threads, torch {torch.__version__}")  # noqa: T201
    for name, seconds in found.items():
        print(f"{name:28} {1000 * seconds:9.1f} ms {seconds / found[MEASURE]:8.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
