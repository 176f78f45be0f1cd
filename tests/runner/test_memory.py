from dataclasses import replace
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import av
import pytest
import torch

from remote_runner import memory
from remote_runner.errors import MachineError
from remote_runner.memory import Workload, admit, run_bytes, try_twice
from remote_runner.models import ifnet, rrdb, srvgg
from remote_runner.models.base import Upscaler, identity_upscaler
from remote_runner.models.ifnet_layout import V4_25
from remote_runner.models.rife import RifeInterpolator
from remote_runner.models.rrdb_structure import Structure
from remote_runner.pipeline import process
from remote_runner.plan import Equipment, plan_work
from remote_runner.protocol import Mode, Reason, Task
from remote_runner.video.colour import Colours
from remote_runner.video.decode import Picture
from remote_runner.video.enlarge import Enlarger, passes, upscales_first
from remote_runner.video.frames import HostFrames
from remote_runner.video.geometry import plan_geometry
from remote_runner.video.render import Renderer
from remote_runner.video.signal import Chroma
from remote_runner.video.source import UPRIGHT
from remote_runner.video.timing import plan_timeline
from tests.runner.clips import make_clip, moving_texture
from tests.runner.models.test_ifnet import rife_state
from tests.runner.tensor_peak import TensorPeak
from tests.runner.video.test_colour import a_signal

CPU = torch.device("cpu")


def settled(network):
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def compact(convolutions=2, scale=4):
    structure = srvgg.Structure(num_feat=64, num_conv=convolutions, scale=scale)
    return settled(srvgg.SRVGGNetCompact(structure))


def large(fold=1):
    structure = Structure(num_feat=64, num_block=1, num_grow=32, doublings=2, fold=fold)
    return settled(rrdb.RRDBNet(structure))


def as_upscaler(network):
    structure = network.structure
    tail = getattr(structure, "tail_bytes", lambda pixels, itemsize: 0)
    return Upscaler(
        name="some",
        scale=structure.scale,
        macs_per_pixel=structure.macs_per_pixel,
        receptive_radius=structure.receptive_radius,
        alignment=structure.alignment,
        bytes_per_pixel=structure.bytes_per_pixel(4),
        tail_bytes=partial(tail, itemsize=4),
        device=CPU,
        dtype=torch.float32,
        network=network,
    )


NETWORKS = {"compact": compact, "large x4": large, "large x2": partial(large, fold=2)}


@pytest.mark.parametrize("bands", [1, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_estimate_of_a_network_is_what_its_tensors_take(name, bands):
    upscaler = as_upscaler(NETWORKS[name]())
    width, height = 64, 192
    geometry = plan_geometry(Task(scale=upscaler.scale), width, height, Fraction(1), Chroma.C420)
    picture = torch.rand(3, height, width)
    enlarger = Enlarger(upscaler, geometry, bands=bands)
    with torch.inference_mode(), TensorPeak(picture) as counted:
        enlarger(picture)
    estimate = run_bytes(upscaler, width, height, bands)
    assert estimate == pytest.approx(counted.peak, rel=0.1)


def pictures(width, height, count=5):
    for number in range(count):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([20 + number * 7]) * plane.buffer_size)
        yield Picture(frame, number, 1)


@pytest.mark.parametrize(
    ("mode", "scale", "heavy"),
    [
        (Mode.UPSCALE, 2, True),
        (Mode.UPSCALE, 4, True),
        (Mode.INTERP, 2, False),
        (Mode.BOTH, 2, False),
        (Mode.BOTH, 2, True),
        (Mode.BOTH, 4, False),
    ],
)
def test_the_estimate_of_the_work_is_what_its_tensors_take(mode, scale, heavy):
    width, height, signal = 192, 128, a_signal()
    task = Task(mode=mode, scale=scale)
    geometry = plan_geometry(task, width, height, Fraction(1), Chroma.C420)
    upscaler = replace(as_upscaler(compact()), macs_per_pixel=10**7 if heavy else 1)
    upscaler = upscaler if mode.upscales else None
    interpolator = RifeInterpolator(ifnet.build(rife_state(V4_25)), name="rife", device=CPU)
    interpolator = interpolator if mode.interpolates else None
    both = upscaler is not None and interpolator is not None
    first = upscales_first(upscaler, interpolator, geometry) if both else mode.upscales
    assert not both or first == heavy
    work = Workload(
        geometry=geometry,
        sample_bytes=1,
        upscaler=upscaler,
        passes=passes(geometry, 4),
        interpolates=interpolator is not None,
        upscale_first=first,
        device=CPU,
    )
    colours = Colours(signal, CPU)
    renderer = Renderer(
        signal=signal,
        orientation=UPRIGHT,
        geometry=geometry,
        enlarger=Enlarger(upscaler, geometry) if upscaler else None,
        interpolator=interpolator,
        upscale_first=first,
        output_format="yuv420p",
        colours=colours,
        frames=HostFrames(geometry.outer_size, "yuv420p", colours),
    )
    timeline = plan_timeline(task, Fraction(48), Fraction(1, 24), 0)
    with torch.inference_mode(), TensorPeak() as counted:
        for _ in renderer.render(pictures(width, height), timeline, Fraction(1, 24)):
            pass
    assert work.working(1) == pytest.approx(counted.peak, rel=0.1)


def a_workload(upscaler, width=4608, height=3456):
    geometry = plan_geometry(Task(size="8192x6144"), width, height, Fraction(1), Chroma.C420)
    return Workload(
        geometry=geometry,
        sample_bytes=1,
        upscaler=upscaler,
        passes=1,
        interpolates=False,
        upscale_first=True,
        device=CPU,
    )


def test_the_fewest_bands_that_fit_are_taken(monkeypatch):
    work = a_workload(as_upscaler(large(fold=2)))
    needed = {bands: work.bytes(bands) + (384 << 20) for bands in (1, 2, 4, 8)}
    assert needed[1] > needed[2] > needed[4] > needed[8]
    for bands, each in needed.items():
        monkeypatch.setattr(memory, "free_memory", lambda device, each=each: int(each / 0.9) + 1)
        assert admit(work).bands == bands
        assert admit(work).bytes == each
    monkeypatch.setattr(memory, "free_memory", lambda device: None)
    assert admit(work).bands == 1


def test_where_nothing_fits_the_work_is_tried_in_the_most_bands(monkeypatch, caplog):
    monkeypatch.setattr(memory, "free_memory", lambda device: 1 << 20)
    work = a_workload(identity_upscaler(2))
    assert admit(work).bands == 128
    assert "1 MiB are free" in caplog.text


def test_a_large_picture_on_a_small_machine_is_worked_on_in_bands(tmp_path, monkeypatch):
    source = make_clip(
        tmp_path / "in.mp4", frames=moving_texture(2, 160, 512), width=160, height=512, count=2
    )
    equipment = Equipment(device="cpu", upscaler=as_upscaler(compact(scale=2)))
    whole = process(source, tmp_path / "whole.mkv", Task(crf=0), equipment=equipment)
    least = 384 << 20
    monkeypatch.setattr(memory, "free_memory", lambda device: int((least + (60 << 20)) / 0.9))
    plan = plan_work(source, Task(), equipment, None)
    plan.close()
    assert plan.admission.bands > 1
    banded = process(source, tmp_path / "banded.mkv", Task(crf=0), equipment=equipment)
    with av.open(str(whole.output)) as one, av.open(str(banded.output)) as other:
        for mine, theirs in zip(one.decode(video=0), other.decode(video=0), strict=True):
            difference = mine.to_ndarray().astype(int) - theirs.to_ndarray()
            assert abs(difference).max() <= 1


def test_free_memory_of_a_machine_is_the_lesser_of_its_own_and_its_containers(
    tmp_path, monkeypatch
):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.free_memory(CPU) == 4000 << 10
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.free_memory(CPU) == 4000 << 10
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    (tmp_path / "memory.stat").write_text("anon 600000\ninactive_file 300000\n")
    assert memory.free_memory(CPU) == 2_300_000
    meminfo.unlink()
    (tmp_path / "memory.max").unlink()
    assert memory.free_memory(CPU) is None


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_work_that_ran_out_of_memory_is_tried_once_more(error):
    left = [error]

    def work():
        if left:
            raise left.pop()
        return "done"

    assert try_twice(work, CPU) == "done"
    left += [error, error]
    with pytest.raises(MachineError) as caught:
        try_twice(work, CPU)
    assert caught.value.reason == Reason.OUT_OF_MEMORY


def test_other_failures_are_not_tried_again():
    left = [RuntimeError("second"), RuntimeError("a kernel failed")]
    with pytest.raises(RuntimeError, match="a kernel failed"):
        try_twice(lambda: (_ for _ in ()).throw(left.pop()), CPU)
    assert len(left) == 1


def test_a_frame_between_two_is_never_left_out_when_memory_runs_out(tmp_path, equipment):
    failures = []

    def between(first, second):
        def at(t):
            if len(failures) < 3 and t not in failures:
                failures.append(t)
                raise torch.OutOfMemoryError("CUDA out of memory")
            return torch.lerp(first, second, t)

        return at

    source = make_clip(tmp_path / "in.mp4")
    short = SimpleNamespace(name="short", macs_per_pixel=1, between=between)
    made = {}
    for name, interpolator in (("short", short), ("blend", equipment.interpolator)):
        report = process(
            source,
            tmp_path / f"{name}.mkv",
            Task(mode=Mode.INTERP, crf=0, factor=4),
            equipment=replace(equipment, interpolator=interpolator),
        )
        with av.open(str(report.output)) as out:
            made[name] = [frame.to_ndarray().tobytes() for frame in out.decode(video=0)]
    assert failures == [0.25, 0.5, 0.75]
    assert made["short"] == made["blend"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", NETWORKS)
def test_on_a_card_the_estimate_is_within_a_tenth_of_the_measured_peak(tmp_path, name):
    device = torch.device("cuda", 0)
    upscaler = as_upscaler(NETWORKS[name]().to(device, torch.half))
    structure = upscaler.network.structure
    upscaler = replace(
        upscaler, device=device, dtype=torch.half, bytes_per_pixel=structure.bytes_per_pixel(2)
    )
    frames = moving_texture(6, 1920, 1080)
    source = make_clip(
        tmp_path / "in.mp4", frames=frames, width=1920, height=1080, count=len(frames)
    )
    equipment = Equipment(device="cuda", upscaler=upscaler)
    plan = plan_work(source, Task(scale=2), equipment, None)
    plan.close()
    report = process(source, tmp_path / "out.mkv", Task(scale=2), equipment=equipment)
    assert report.peak_memory == pytest.approx(plan.admission.bytes, rel=0.1)
