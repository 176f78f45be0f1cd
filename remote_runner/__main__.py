"""The runner's command line: follow orders, or work on a file by hand.

Heavy libraries are imported by the commands that need them, so that help and mistakes are quick.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Threads of PyTorch that spin while they wait starve the encoder beside them.
# Must be set before PyTorch is imported (GNU libgomp manual, OMP_WAIT_POLICY).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from remote_runner.errors import Cancelled, InputError, RunnerError
from remote_runner.protocol import PRESETS, Check, Facts, Mode, Phase, Reason, Task

if TYPE_CHECKING:
    from remote_runner.video.remote import RemoteFile

EXIT_DONE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

#: The slowest that a remote file is read, and the slowest that its packets are counted.
_REMOTE_BYTES_S, _REMOTE_CPU_BYTES_S = 250e3, 50e6


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code: 0 done, 1 the work failed, 2 wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and "://" in arguments[0]:
        arguments = ["run", *arguments]
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except RunnerError as error:
        print(f"{error.reason}: {error.detail}", file=sys.stderr)
        return EXIT_FAILED
    except (Cancelled, KeyboardInterrupt):
        print("cancelled", file=sys.stderr)
        return EXIT_FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m remote_runner",
        description="Makes a video larger and smoother. Given an orders URL it follows the orders "
        "of a controller; the other commands work on files.",
        epilog="python -m remote_runner ORDERS_URL is short for run ORDERS_URL.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="follow the orders at a file:// or https:// URL")
    run.add_argument("orders_url")
    run.set_defaults(command=_run)
    _add_process(commands.add_parser("process", help="make one video larger and smoother"))
    _add_probe(commands.add_parser("probe", help="tell what a file holds"))
    verify = commands.add_parser("verify", help="compare an output with its source")
    _add_files(verify, "source", "output")
    verify.add_argument("--json", action="store_true", help="print a list of checks as JSON")
    verify.set_defaults(command=_verify)
    picture = commands.add_parser("picture", help="draw a before/after picture")
    _add_files(picture, "source", "output", "png")
    picture.set_defaults(command=_picture)
    _add_device(commands.add_parser("device", help="prove that a device calculates right"))
    return parser


def _add_files(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        parser.add_argument(name, type=Path, metavar=name.upper())


def _add_process(parser: argparse.ArgumentParser) -> None:
    _add_files(parser, "source", "output")
    parser.add_argument("--mode", choices=[*Mode], default=None, help="default: by the options")
    parser.add_argument("--scale", type=int, choices=(2, 4), default=None)
    parser.add_argument("--size", metavar="WxH", help="exact size, with borders")
    parser.add_argument("--fps", help="frames per second: 60, 59.94, 24000/1001")
    parser.add_argument("--factor", type=int, default=None, help="frames out for one in (2)")
    parser.add_argument("--model", default="auto", help="name in the catalog (auto)")
    parser.add_argument("--engine", choices=("torch",), default="torch", help="what runs networks")
    parser.add_argument("--device", default="auto", help="auto, cuda or cpu")
    parser.add_argument("--codec", choices=("auto", "h264", "hevc"), default="auto")
    parser.add_argument("--crf", type=int, help="0 (best) to 51; 18 for h264, 20 for hevc")
    parser.add_argument("--preset", choices=PRESETS, help="speed of the encoder (medium)")
    parser.set_defaults(command=_process)


def _add_probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a path, an https:// URL, or - for a URL "
                        "that is read from standard input")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print facts or error as JSON")
    parser.add_argument("--max-bytes", type=int, help="refuse larger files")
    parser.add_argument("--max-seconds", type=float, help="refuse longer videos")
    parser.add_argument("--max-pixels", type=int, help="refuse larger pictures")
    parser.set_defaults(command=_probe)


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cuda or cpu")
    parser.add_argument("--min-memory", type=int, default=0, help="least memory of a card, bytes")
    parser.add_argument("--json", action="store_true", help="print name or error as JSON")
    parser.set_defaults(command=_device)


def _run(options: argparse.Namespace) -> int:
    from remote_runner.lifecycle import run  # noqa: PLC0415
    from remote_runner.transfer import local_path  # noqa: PLC0415

    try:
        local_path(options.orders_url)
    except RunnerError as error:
        return _misuse(error.detail)
    return run(options.orders_url)


def _process(options: argparse.Namespace) -> int:
    task = _task(options)
    if problems := task.problems():
        return _misuse("; ".join(problems))
    if code := _missing(options.source, parent_of=options.output):
        return code
    from remote_runner.pipeline import process  # noqa: PLC0415
    from remote_runner.plan import Equipment  # noqa: PLC0415
    from remote_runner.report import Reporter, log_to  # noqa: PLC0415

    reporter = Reporter()
    log_to(reporter)
    container = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mp4", ".mkv": "mkv"}
    report = process(
        options.source,
        options.output,
        task,
        equipment=Equipment(device=options.device),
        container=container.get(options.output.suffix.lower()),
        progress=lambda progress: (
            reporter.advance(progress.done, progress.total)
            if progress.phase is Phase.PROCESSING
            else reporter.enter(progress.phase)
        ),
    )
    reporter.close()
    facts = report.facts
    print(f"{report.output}: {facts.width}x{facts.height}, {facts.fps} fps, {facts.codec}")
    for label, items in (
        ("kept", report.kept),
        ("dropped", report.dropped),
        ("note", report.notes),
    ):
        for item in items:
            print(f"  {label} {item}")
    return EXIT_DONE


def _task(options: argparse.Namespace) -> Task:
    """Without a mode, the options tell what is wanted."""
    smoother = options.fps is not None or options.factor is not None
    larger = options.scale is not None or options.size is not None
    implied = Mode.BOTH if smoother and larger else Mode.INTERP if smoother else Mode.UPSCALE
    return Task(
        mode=Mode(options.mode) if options.mode else implied,
        scale=options.scale or 2,
        size=options.size,
        factor=2 if options.factor is None else options.factor,
        fps=options.fps,
        model=options.model,
        codec=options.codec,
        crf=options.crf,
        preset=options.preset,
    )


def _probe(options: argparse.Namespace) -> int:
    place = sys.stdin.readline().strip() if options.file == "-" else options.file
    try:
        if "://" in place:
            return _probe_remote(options, place)
        if code := _missing(Path(place)):
            return code
        return _tell_facts(options, Path(place))
    except RunnerError as error:
        return _refuse(error, as_json=options.json)


def _probe_remote(options: argparse.Namespace, url: str) -> int:
    from remote_runner.transfer import local_path  # noqa: PLC0415
    from remote_runner.video.remote import RemoteFile  # noqa: PLC0415

    try:
        if local_path(url) is not None:
            return _misuse("give the path of a file, not its URL")
    except RunnerError as error:
        return _misuse(error.detail)
    with RemoteFile(url) as remote:
        return _tell_facts(options, remote)


def _tell_facts(options: argparse.Namespace, source: Path | RemoteFile) -> int:
    from remote_runner.limits import CPU_S, WALL_S, restrain  # noqa: PLC0415
    from remote_runner.video.probe import Limits, probe  # noqa: PLC0415

    limits = Limits(
        max_bytes=options.max_bytes,
        max_seconds=options.max_seconds,
        max_pixels=options.max_pixels,
    )
    # what is far away takes the longer the larger it is
    far_bytes = 0 if isinstance(source, Path) else source.size
    restrain(
        cpu_s=CPU_S + far_bytes / _REMOTE_CPU_BYTES_S,
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
        print(json.dumps({"facts": dataclasses.asdict(facts)}))
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
    if code := _missing(options.source, options.output):
        return code
    from remote_runner.video.verify import verify  # noqa: PLC0415

    checks = verify(options.source, options.output)
    if options.json:
        print(json.dumps([dataclasses.asdict(check) for check in checks]))
    else:
        for check in checks:
            _print_check(check)
    return EXIT_DONE if all(check.passed for check in checks) else EXIT_FAILED


def _print_check(check: Check) -> None:
    print(f"{'ok  ' if check.passed else 'FAIL'} {check.name:<12} {check.detail}")


def _picture(options: argparse.Namespace) -> int:
    if code := _missing(options.source, options.output, parent_of=options.png):
        return code
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


def _missing(*paths: Path, parent_of: Path | None = None) -> int:
    """Exit code 2 and a line if one of the files, or the folder for a new one, is not there."""
    for path in paths:
        if not path.is_file():
            return _misuse(f"{path} is not a file")
    if parent_of is not None and not parent_of.absolute().parent.is_dir():
        return _misuse(f"{parent_of.absolute().parent} is not a folder")
    return EXIT_DONE


def _misuse(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
