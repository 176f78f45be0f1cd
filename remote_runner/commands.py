"""Commands that look: at a file, at an output beside its source, at a device.

Heavy libraries are imported by the commands that need them, so that help and mistakes are quick.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote_runner.errors import InputError, RunnerError
from remote_runner.protocol import Check, Facts, Fit, Reason

if TYPE_CHECKING:
    from remote_runner.video.remote import RemoteFile

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

#: The slowest that a remote file is read, and the slowest that its packets are counted.
_REMOTE_BYTES_S, _REMOTE_CPU_BYTES_S = 250e3, 50e6
#: What a small file may take, and how much more a larger one, up to the limit for any.
_SMALL_CPU_S, _CPU_BYTES_S = 8.0, 1e6


def add_probe(parser: argparse.ArgumentParser) -> None:
    """``probe FILE``: tell what a file holds."""
    parser.add_argument("file", metavar="FILE", help="a path, an https:// URL, or - for a URL "
                        "that is read from standard input")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print facts or error as JSON")
    parser.add_argument("--max-bytes", type=int, help="refuse larger files")
    parser.add_argument("--max-seconds", type=float, help="refuse longer videos")
    parser.add_argument("--max-pixels", type=int, help="refuse larger pictures")
    parser.set_defaults(command=_probe)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """``verify SOURCE OUTPUT``: compare an output with its source."""
    add_files(parser, "source", "output")
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    parser.add_argument(
        "--quality", action="store_true", help="measure PSNR, SSIM and VMAF of luma as well"
    )
    parser.add_argument(
        "--fit",
        choices=[*Fit],
        default=Fit.LETTERBOX,
        help="what was done to a picture of another shape (letterbox)",
    )
    parser.set_defaults(command=_verify)


def add_picture(parser: argparse.ArgumentParser) -> None:
    """``picture SOURCE OUTPUT PNG``: draw a before/after picture."""
    add_files(parser, "source", "output", "png")
    parser.set_defaults(command=_picture)


def add_device(parser: argparse.ArgumentParser) -> None:
    """``device``: prove that a device calculates right."""
    parser.add_argument("--device", default="auto", help="auto, cuda or cpu")
    parser.add_argument("--min-memory", type=int, default=0, help="least memory of a card, bytes")
    parser.add_argument("--json", action="store_true", help="print name or error as JSON")
    parser.set_defaults(command=_device)


def add_files(parser: argparse.ArgumentParser, *names: str) -> None:
    """Positional arguments that are paths."""
    for name in names:
        parser.add_argument(name, type=Path, metavar=name.upper())


def missing(*paths: Path, parent_of: Path | None = None) -> int:
    """Exit code 2 and a line if one of the files, or the folder for a new one, is not there."""
    for path in paths:
        if not path.is_file():
            return misuse(f"{path} is not a file")
    if parent_of is not None and not parent_of.absolute().parent.is_dir():
        return misuse(f"{parent_of.absolute().parent} is not a folder")
    return EXIT_DONE


def misuse(text: str) -> int:
    """Exit code 2, and the line that says why."""
    print(f"error: {text}", file=sys.stderr)
    return EXIT_USAGE


def _probe(options: argparse.Namespace) -> int:
    place = sys.stdin.readline().strip() if options.file == "-" else options.file
    try:
        if "://" in place:
            return _probe_remote(options, place)
        if code := missing(Path(place)):
            return code
        return _tell_facts(options, Path(place))
    except RunnerError as error:
        return _refuse(error, as_json=options.json)


def _probe_remote(options: argparse.Namespace, url: str) -> int:
    from remote_runner.transfer import local_path  # noqa: PLC0415
    from remote_runner.video.remote import RemoteFile  # noqa: PLC0415

    try:
        if local_path(url) is not None:
            return misuse("give the path of a file, not its URL")
    except RunnerError as error:
        return misuse(error.detail)
    with RemoteFile(url) as remote:
        return _tell_facts(options, remote)


def _tell_facts(options: argparse.Namespace, source: Path | RemoteFile) -> int:
    # NumPy starts threads for its algebra, and whoever runs already cannot be confined
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from remote_runner.confinement import confine  # noqa: PLC0415
    from remote_runner.limits import CPU_S, WALL_S, restrain  # noqa: PLC0415
    from remote_runner.video.probe import Limits, probe  # noqa: PLC0415

    limits = Limits(
        max_bytes=options.max_bytes,
        max_seconds=options.max_seconds,
        max_pixels=options.max_pixels,
    )
    # what is far away takes the longer the larger it is
    if isinstance(source, Path):
        far_bytes = 0
        cpu_s = min(CPU_S, _SMALL_CPU_S + source.stat().st_size / _CPU_BYTES_S)
        guards = confine([source], network=False)
    else:
        far_bytes = source.size
        cpu_s = CPU_S + far_bytes / _REMOTE_CPU_BYTES_S
        guards = confine([], network=True)
    restrain(
        cpu_s=cpu_s,
        wall_s=WALL_S + far_bytes / _REMOTE_BYTES_S,
        # a line that is slow says nothing about the file
        late=Reason.TRANSFER_FAILED if far_bytes else Reason.PROBE_LIMIT,
    )
    try:
        facts = probe(source, limits)
    except (ArithmeticError, ValueError, LookupError, MemoryError) as error:
        # a file that confuses even the prober is refused like any other bad one
        why = f"its description makes no sense ({type(error).__name__})"
        raise InputError(Reason.CORRUPT, why) from None
    if options.json:
        print(json.dumps({"facts": dataclasses.asdict(facts), "guards": sorted(guards)}))
    else:
        _list_facts(facts)
    return EXIT_DONE


def _refuse(error: RunnerError, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": {"reason": error.reason, "detail": error.detail}}))
    else:
        print(f"{error.reason}: {error.detail}", file=sys.stderr)
    return EXIT_FAILED


def _list_facts(facts: Facts) -> None:
    for name, value in dataclasses.asdict(facts).items():
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else value
        print(f"{name:<12} {shown}")


def _verify(options: argparse.Namespace) -> int:
    if code := missing(options.source, options.output):
        return code
    from remote_runner.video.verify import verify  # noqa: PLC0415

    checks = verify(options.source, options.output, fit=Fit(options.fit))
    measured = _measure(options, checks) if options.quality else None
    rows = [dataclasses.asdict(check) for check in checks]
    if options.json:
        print(json.dumps({"checks": rows, "quality": measured} if options.quality else rows))
    else:
        for check in checks:
            print(f"{'ok  ' if check.passed else 'FAIL'} {check.name:<12} {check.detail}")
        if options.quality:
            _print_quality(measured)
    return EXIT_DONE if all(check.passed for check in checks) else EXIT_FAILED


def _measure(options: argparse.Namespace, checks: list[Check]) -> dict[str, Any] | None:
    """None where the output does not decode."""
    if any(check.name == "decodes" and not check.passed for check in checks):
        return None
    from remote_runner.video.quality import measure_quality  # noqa: PLC0415

    return dataclasses.asdict(measure_quality(options.source, options.output))


def _print_quality(measured: dict[str, Any] | None) -> None:
    if measured is None:
        print("     quality      not measured: the output does not decode")
        return
    print(
        f"     quality      {measured['frames']} frames compared, "
        f"{measured['unmatched']} of the source have none at their time"
    )
    for name, unit, places in (("psnr", " dB", 2), ("ssim", "", 4), ("vmaf", "", 2)):
        figure = measured[name]
        if figure is None:
            print(f"     {name:<12} not available: FFmpeg was built without it")
            continue
        print(
            f"     {name:<12} mean {figure['mean']:.{places}f}{unit}, "
            f"worst {figure['worst']:.{places}f}{unit} at {figure['worst_at_s']:.2f} s"
        )


def _picture(options: argparse.Namespace) -> int:
    if code := missing(options.source, options.output, parent_of=options.png):
        return code
    if options.png.resolve() in (options.source.resolve(), options.output.resolve()):
        return misuse("the picture would replace a video")
    from remote_runner.video.picture import draw_picture  # noqa: PLC0415

    draw_picture(options.source, options.output, options.png)
    return EXIT_DONE


def _device(options: argparse.Namespace) -> int:
    from remote_runner.devices import prove_device  # noqa: PLC0415

    try:
        name = prove_device(options.device, options.min_memory)
    except RunnerError as error:
        return _refuse(error, as_json=options.json)
    print(json.dumps({"device": name}) if options.json else name)
    return EXIT_DONE
