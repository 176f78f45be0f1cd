"""Words that the runner reports with: why it refused or failed, and what it noted on the way.

A part of the protocol. Standard library only.
"""

from __future__ import annotations

from enum import StrEnum

#: What a runner may note of a file or a result: a code, then where it has one ``:value``. Every
#: code has a text in every language of the bot.
NOTES = frozenset(
    {
        # assumed
        "matrix_assumed",
        "matrix_corrected",
        "matrix_treated_as_bt709",
        "siting_assumed",
        "timestamps_guessed",
        "timestamps_repaired",
        # done to the picture
        "converted",
        "cropped",
        "deinterlaced",
        "fields_found",
        "hdr_processed_as_is",
        "letterboxed",
        "mirrored",
        "padded",
        "rotated",
        "scene_cuts",
        "size_changes",
        "telecined",
        # done to the file
        "audio_converted",
        "closed_captions_dropped",
        "container_changed",
        "several_video_streams",
        "subtitles_converted",
        # what was wrong
        "clip_missing",
        "damaged_packets",
        "frames_missing",
        "picture_missing",
        "segments_not_saved",
        # how it was done
        "device_chosen",
        "model_fallback",
        "sample",
    }
)


class Reason(StrEnum):
    """Why the runner refused or failed. Every value has a text in every language of the bot."""

    # the input is at fault: no other machine would do better
    EMPTY_FILE = "empty_file"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    PICTURE_TOO_SMALL = "picture_too_small"
    PICTURE_TOO_LARGE = "picture_too_large"
    FILE_TOO_LARGE = "file_too_large"
    VIDEO_TOO_LONG = "video_too_long"
    UNSUPPORTED = "unsupported"
    PROBE_LIMIT = "probe_limit"
    BAD_TASK = "bad_task"
    NOTHING_TO_DO = "nothing_to_do"
    # the machine is at fault: another one may do better
    DISK_FULL = "disk_full"
    OUT_OF_MEMORY = "out_of_memory"
    NO_DEVICE = "no_device"
    DEVICE_UNSUPPORTED = "device_unsupported"
    DEVICE_TOO_SMALL = "device_too_small"
    INSTALL_FAILED = "install_failed"
    MODEL_UNAVAILABLE = "model_unavailable"
    ENCODER_FAILED = "encoder_failed"
    TRANSFER_FAILED = "transfer_failed"
    GATE_FAILED = "gate_failed"
    DEADLINE = "deadline"
    INTERNAL = "internal"

    @property
    def is_input_fault(self) -> bool:
        return self not in _MACHINE_FAULTS


_MACHINE_FAULTS = frozenset(
    {
        Reason.DISK_FULL,
        Reason.OUT_OF_MEMORY,
        Reason.NO_DEVICE,
        Reason.DEVICE_UNSUPPORTED,
        Reason.DEVICE_TOO_SMALL,
        Reason.INSTALL_FAILED,
        Reason.MODEL_UNAVAILABLE,
        Reason.ENCODER_FAILED,
        Reason.TRANSFER_FAILED,
        Reason.GATE_FAILED,
        Reason.DEADLINE,
        Reason.INTERNAL,
    }
)
