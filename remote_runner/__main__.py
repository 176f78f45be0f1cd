"""The runner's command line: follow orders, or work on a file by hand.

Heavy libraries are imported by the commands that need them, so that help and mistakes are quick.
"""

from __future__ import annotations

import argparse
import math
import os
import sys

# Threads of PyTorch that spin while they wait starve the encoder beside them.
# Must be set before PyTorch is imported (GNU libgomp manual, OMP_WAIT_POLICY).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from remote_runner.commands import (
    EXIT_FAILED,
    add_device,
    add_files,
    add_picture,
    add_probe,
    add_verify,
    missing,
    misuse,
)
from remote_runner.errors import Cancelled, RunnerError
from remote_runner.limits import leave_no_core
from remote_runner.models import Engine
from remote_runner.protocol import CODECS, DENOISABLE, NAMED_SIZES, PRESETS, Fit, Mode, Task


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code: 0 done, 1 the work failed, 2 wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and "://" in arguments[0]:
        arguments = ["run", *arguments]
    options = _parser().parse_args(arguments)
    leave_no_core()
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
    add_probe(commands.add_parser("probe", help="tell what a file holds"))
    add_verify(commands.add_parser("verify", help="compare an output with its source"))
    add_picture(commands.add_parser("picture", help="draw a before/after picture"))
    add_device(commands.add_parser("device", help="prove that a device calculates right"))
    return parser


def _add_process(parser: argparse.ArgumentParser) -> None:
    add_files(parser, "source", "output")
    parser.add_argument("--mode", choices=[*Mode], default=None, help="default: by the options")
    parser.add_argument("--scale", type=int, choices=(2, 4), default=None)
    parser.add_argument(
        "--size", metavar="SIZE", help=f"WxH exactly, or one of {', '.join(NAMED_SIZES)}"
    )
    parser.add_argument(
        "--fit", choices=[*Fit], default=Fit.LETTERBOX, help="another shape in WxH (letterbox)"
    )
    parser.add_argument("--fps", help="frames per second: 60, 59.94, 24000/1001, same")
    parser.add_argument("--factor", type=int, default=None, help="frames out for one in (2)")
    weights = "name in the catalog, weight file, or URL#sha256=… (auto)"
    parser.add_argument("--model", default="auto", help=weights)
    parser.add_argument("--interpolator", default="auto", help=weights)
    parser.add_argument(
        "--denoise", type=float, metavar="0…1", help=f"strength of {DENOISABLE}; 0 keeps noise"
    )
    parser.add_argument(
        "--engine",
        choices=[*Engine],
        default=Engine.TORCH,
        help="what enlarges: our networks, or the realesrgan package to compare with (torch)",
    )
    parser.add_argument("--device", default="auto", help="auto, cuda or cpu")
    parser.add_argument("--codec", choices=CODECS, default="auto")
    parser.add_argument(
        "--crf", type=int, help="0 (best) to 51, av1 63; 18 for h264, 20 for hevc, 30 for av1"
    )
    parser.add_argument("--preset", choices=PRESETS, help="speed of the encoder (medium)")
    parser.add_argument("--fresh", action="store_true", help="ignore what an interrupted run left")
    parser.add_argument(
        "--segment",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how often work is saved (20)",
    )
    parser.add_argument(
        "--sample", type=float, default=None, metavar="SECONDS", help="the busiest seconds alone"
    )
    parser.set_defaults(command=_process)


def _run(options: argparse.Namespace) -> int:
    from remote_runner.lifecycle import deadline_from, run  # noqa: PLC0415
    from remote_runner.transfer import local_path  # noqa: PLC0415

    try:
        local_path(options.orders_url)
        deadline_at = deadline_from(os.environ)
    except RunnerError as error:
        return misuse(error.detail)
    except ValueError as error:
        return misuse(str(error))
    return run(options.orders_url, deadline_at)


def _process(options: argparse.Namespace) -> int:
    task = _task(options)
    if problems := task.problems():
        return misuse("; ".join(problems))
    if not 0 < options.segment < math.inf:
        return misuse("a segment is longer than nothing, and ends")
    if options.sample is not None and not 0 < options.sample < math.inf:
        return misuse("a sample is longer than nothing, and ends")
    if options.output.is_dir():
        return misuse(f"{options.output} is a folder")
    if code := missing(options.source, parent_of=options.output):
        return code
    from remote_runner.local import process_locally, sample_locally  # noqa: PLC0415 - slow
    from remote_runner.plan import Equipment  # noqa: PLC0415

    equipment = Equipment(device=options.device, engine=Engine(options.engine), allow_paths=True)
    if options.sample is not None:
        return sample_locally(
            options.source, options.output, task, equipment=equipment, seconds=options.sample
        )
    return process_locally(
        options.source,
        options.output,
        task,
        equipment=equipment,
        segment_s=options.segment,
        fresh=options.fresh,
    )


def _task(options: argparse.Namespace) -> Task:
    """Without a mode, the options tell what is wanted."""
    smoother = options.fps is not None or options.factor is not None
    larger = options.scale is not None or options.size is not None
    implied = Mode.BOTH if smoother and larger else Mode.INTERP if smoother else Mode.UPSCALE
    return Task(
        mode=Mode(options.mode) if options.mode else implied,
        scale=options.scale or 2,
        size=options.size,
        fit=Fit(options.fit),
        factor=2 if options.factor is None else options.factor,
        fps=options.fps,
        model=options.model,
        interpolator=options.interpolator,
        denoise=options.denoise,
        # the other containers are no promise: what they cannot hold goes into another
        container="webm" if options.output.suffix.lower() == ".webm" else "auto",
        codec=options.codec,
        crf=options.crf,
        preset=options.preset,
    )


if __name__ == "__main__":
    sys.exit(main())
