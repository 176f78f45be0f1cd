"""Whatever people send: it comes out right, or it is refused with the reason."""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from remote_runner.errors import InputError
from remote_runner.pipeline import process
from remote_runner.protocol import NOTES, Mode, Reason, Task
from tests.runner.video.difficult import (
    FFV1,
    LINES,
    amid_a_group,
    chained,
    clip,
    content,
    cut_off,
    damaged,
    leap,
    mirrored,
    palette,
    remuxed,
    shift,
    song,
    telecined,
    transposed,
    with_cover,
    with_two_videos,
    woven,
)

QUIET = {"x265-params": "log-level=none"}
FAST_VP = {"deadline": "realtime"}
Q3 = {"q": "3"}
PLAIN = {"threads": "1"}
HDR = {"colorspace": 9, "color_range": 1, "color_trc": 16, "color_primaries": 9}
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
HDR10 = {"x265-params": f"log-level=none:hdr10-opt=1:master-display={DISPLAY}:max-cll=987,321"}
LEFT, BENT = "siting_assumed:left", "timestamps_repaired"
STREAMS = {"audio": 2, "subtitles": [LINES, LINES[:1]], "chapters": [(0, 200), (200, 400)]}
WRAP_S = (1 << 33) / 90_000
SPARSE = {"count": 150, "options": {"g": "12", "crf": "20"}}


@dataclass(frozen=True)
class Row:
    make: object
    notes: tuple[str, ...] = ()
    refused: Reason | None = None


def rows(*, notes=(), refused=None, **makes):
    return {name: Row(make, notes, refused) for name, make in makes.items()}


CONTAINERS = {
    **rows(
        mp4=clip("mp4", audio=1),
        fragmented_mp4=clip(
            "mp4", count=24, audio=1, container_options={"movflags": "frag_keyframe+empty_moov"}
        ),
        vp8_webm=clip("webm", codec="libvpx", options=FAST_VP, audio=1, audio_codec="libopus"),
        vp9_webm=clip("webm", codec="libvpx-vp9", options=FAST_VP),
        av1_mp4=clip("mp4", codec="libsvtav1", options={"preset": "11"}),
        av1_webm=clip("webm", codec="libsvtav1", options={"preset": "11"}),
        prores_mov=clip(
            "mov", codec="prores_ks", pix_fmt="yuv422p10le", audio=1, audio_codec="pcm_s16le"
        ),
        mpeg2_ts=clip("ts", codec="mpeg2video", rate=25, options=Q3, audio=1, audio_codec="mp2"),
        h264_ts=clip("ts", audio=1, count=24),
        hevc_ts=clip("ts", codec="libx265", options=QUIET, count=24),
        mpeg4_avi=clip("avi", codec="mpeg4", options=Q3, audio=1, audio_codec="mp3"),
        h264_avi_with_b_frames=clip("avi", options={"bf": "2"}, count=24),
        huffyuv_avi=clip("avi", codec="huffyuv", pix_fmt="yuv422p", options=PLAIN),
        flv=clip("flv", audio=1, count=24),
        wmv=clip("wmv", codec="wmv2", options=Q3, audio=1, audio_codec="mp3"),
        dnxhd_mov=clip(
            "mov", codec="dnxhd", width=1280, height=720, pix_fmt="yuv422p", count=2, rate=25,
            options={"b": "60M"},
        ),
        v210_mov=clip("mov", codec="v210", pix_fmt="yuv422p10le", options=PLAIN),
        mpeg4_3gp=clip("3gp", codec="mpeg4", options=Q3),
        mpeg2_mxf=clip("mxf", codec="mpeg2video", rate=25, options=Q3),
        jpeg2000_mkv=clip("mkv", codec="jpeg2000", pix_fmt="yuv444p", options=PLAIN, count=3),
        open_groups=clip(
            "mkv", count=60, options={"x264-params": "open-gop=1:keyint=12:bframes=3"}
        ),
        intra_refresh=clip("mkv", count=60, options={"x264-params": "intra-refresh=1:keyint=12"}),
    ),
    **rows(
        notes=(LEFT,),
        mjpeg_mov=clip("mov", codec="mjpeg", pix_fmt="yuvj420p", options=Q3),
        mpeg1=clip("mpg", codec="mpeg1video", rate=25, options=Q3, count=24),
        h263=clip("3gp", codec="h263", width=176, height=144, options=Q3),
        y4m=clip("y4m", codec="rawvideo", options=PLAIN),
    ),
    **rows(
        notes=("deinterlaced",),
        dv=clip("dv", codec="dvvideo", width=720, height=576, rate=25, options=PLAIN, count=3),
        dv_411=clip(
            "avi", codec="dvvideo", width=720, height=480, rate="30000/1001", pix_fmt="yuv411p",
            options=PLAIN, count=3,
        ),
    ),
    **rows(
        notes=("converted",),
        prores_4444=clip("mov", codec="prores_ks", pix_fmt="yuva444p10le"),
        qtrle_with_alpha=clip("mov", codec="qtrle", pix_fmt="argb", options=PLAIN),
        png_mov=clip("mov", codec="png", pix_fmt="rgba", options=PLAIN),
        nv12=clip("nut", codec="rawvideo", pix_fmt="nv12", options=PLAIN),
        uyvy=clip("mov", codec="rawvideo", pix_fmt="uyvy422", options=PLAIN),
        gif=palette,
        cinepak=clip("avi", codec="cinepak", pix_fmt="rgb24", options=PLAIN, count=3),
        utvideo=clip("avi", codec="utvideo", pix_fmt="gbrp", options=PLAIN),
    ),
    **rows(
        notes=("timestamps_guessed",),
        h264_stream=clip("264", count=24, options={"bf": "2"}),
        hevc_stream=clip("265", codec="libx265", options=QUIET, count=24),
    ),
}  # fmt: skip

SAME_PIXELS = (
    "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le",
)  # fmt: skip
OTHER_PIXELS = (
    "yuv440p", "yuv411p", "yuv410p", "yuv420p12le", "yuv444p16le", "gray12le", "gray16le", "ya8",
    "yuva420p", "yuva444p10le", "gbrp10le", "gbrp12le", "bgra", "rgb48le",
)  # fmt: skip
PIXELS = {
    **rows(**{each: clip("mkv", pix_fmt=each, count=3, **FFV1) for each in SAME_PIXELS}),
    **rows(
        notes=("converted",),
        hevc_of_12_bits=clip("mkv", codec="libx265", pix_fmt="yuv420p12le", options=QUIET),
        **{each: clip("mkv", pix_fmt=each, count=3, **FFV1) for each in OTHER_PIXELS},
    ),
    **rows(
        full_range=clip("mp4", tags={"color_range": 2, "colorspace": 6}),
        smpte_240m=clip("mp4", tags={"colorspace": 7}),
        fcc=clip("mp4", tags={"colorspace": 4}),
    ),
    **rows(notes=("matrix_assumed:bt601",), untagged=clip("mp4")),
    **rows(
        notes=("matrix_corrected:bt601",),
        wrongly_rgb=clip("mkv", tags={"colorspace": 0}, **FFV1),
        wrongly_rgb_h264=clip("mp4", tags={"colorspace": 0}),
    ),
    **rows(
        notes=("matrix_treated_as_bt709:ycgco",),
        ycgco=clip("mkv", pix_fmt="yuv444p", tags={"colorspace": 8}),
    ),
    **rows(
        hdr10=clip("mkv", codec="libx265", width=128, pix_fmt="yuv420p10le", tags=HDR,
                   options=HDR10),
        hlg=clip("mp4", codec="libx265", width=128, pix_fmt="yuv420p10le",
                 tags={**HDR, "color_trc": 18}, options=QUIET),
    ),
}  # fmt: skip

TIMES = {
    **rows(
        variable_rate=clip("mp4", times=[0, 3, 4, 9, 10, 11, 30, 31], time_base="1/60"),
        variable_rate_mkv=clip(
            "mkv", times=[0, 41, 83, 140, 150, 300, 333, 367], time_base="1/1000", audio=1
        ),
        late_start=clip("mkv", audio=1, start_s=2),
        video_40_ms_late=remuxed("mp4", shift(0.04, stream=0), audio=1),
        edit_list=remuxed(
            "mp4", shift(-0.25), audio=1,
            options={"avoid_negative_ts": "disabled", "use_editlist": "1"},
        ),
        wrapping_times=remuxed("ts", shift(WRAP_S - 0.5)),
        lost_packets=remuxed("mkv", lambda _, number: number not in (7, 8), options=None),
        one_frame=clip("mp4", count=1),
        two_frames=clip("mp4", count=2, audio=1),
        sound_longer_than_video=remuxed(
            "mkv", lambda packet, n: packet.stream_index == 1 or n < 40, audio=1, count=48
        ),
        milliseconds_in_mp4=remuxed("mp4", lambda _packet, _number: None, rate="24000/1001"),
    ),
    **rows(
        notes=(BENT,),
        negative_times=remuxed(
            "mkv", shift(-0.1), audio=1, options={"avoid_negative_ts": "disabled"}
        ),
        leaping_times=remuxed("ts", leap(5, 12)),
        times_that_begin_anew=chained("ts", clip("ts", count=24), clip("ts", count=24)),
    ),
}  # fmt: skip

SHAPES = {
    **rows(notes=("rotated:90",), turned_90=clip("mp4", rotation=90)),
    **rows(notes=("rotated:180",), turned_180=clip("mp4", rotation=180)),
    **rows(notes=("rotated:270",), turned_270=clip("mp4", rotation=270)),
    **rows(notes=("mirrored",), mirrored=mirrored, turned_and_mirrored=transposed),
    **rows(
        anamorphic=clip("mp4", sar="16/15"),
        odd_size=clip("mkv", width=65, height=49, **FFV1),
        odd_size_444=clip("mkv", width=65, height=49, pix_fmt="yuv444p", **FFV1),
        tiny=clip("mkv", width=16, height=16, **FFV1),
        thin=clip("mkv", width=400, height=16),
    ),
    **rows(
        notes=("size_changes",),
        changing_size=chained("264", clip("264"), clip("264", width=96, height=64)),
    ),
    **rows(
        notes=("deinterlaced",),
        interlaced=woven(options={"crf": "5", "x264-params": "tff=1"}),
        interlaced_bottom_first=woven(
            top_first=False, options={"crf": "5", "x264-params": "bff=1"}
        ),
        partly_interlaced=woven(still_parts=True, options={"crf": "5", "x264-params": "tff=1"}),
    ),
    **rows(notes=("deinterlaced", "fields_found:bff"), unflagged=woven(top_first=False, **FFV1)),
    **rows(notes=("deinterlaced", "telecined"), telecined=telecined),
}

STREAMS_ROWS = {
    **rows(
        everything_mkv=clip("mkv", attachment=b"font" * 9, count=24, **STREAMS),
        everything_mp4=clip("mp4", count=24, **STREAMS),
        cover_art=with_cover,
    ),
    **rows(notes=("several_video_streams",), two_videos=with_two_videos),
}

DAMAGE = {
    **rows(notes=("frames_missing",), begins_amid_a_group=amid_a_group),
    **rows(
        notes=("damaged_packets",),
        few_damages=remuxed("mkv", lambda _, n: b"\xff" * 20 if n == 40 else None, **SPARSE),
    ),
    **rows(damaged_capture=damaged(clip("ts", **SPARSE), places=2), cut_ts=cut_off(
        0.6, clip("ts", count=48))),
    **rows(
        refused=Reason.CORRUPT, many_damages=damaged(clip("mp4", **SPARSE), places=60)
    ),
    **rows(
        refused=Reason.TRUNCATED,
        cut_mp4=cut_off(0.6, clip("mp4", count=48)),
        cut_mkv=cut_off(0.6, clip("mkv", count=48)),
        cut_avi=cut_off(0.6, clip("avi", codec="mpeg4", options=Q3, count=48)),
        cut_flv=cut_off(0.6, clip("flv", count=48)),
        cut_webm=cut_off(0.6, clip("webm", codec="libvpx", options=FAST_VP, count=48)),
    ),
    **rows(refused=Reason.EMPTY_FILE, empty=content(b"")),
    **rows(
        refused=Reason.NOT_A_VIDEO,
        prose=content(b"It was a dark and stormy night.\n" * 40),
        noise=content(random.Random(1).randbytes(5000)),
        playlist=content(b"#EXTM3U\n#EXTINF:5,\n/etc/passwd\n#EXT-X-ENDLIST\n"),
    ),
    **rows(refused=Reason.NO_VIDEO_STREAM, song=song),
    **rows(
        refused=Reason.PICTURE_TOO_SMALL, pixel=clip("mkv", width=1, height=1, count=2, **FFV1)
    ),
}  # fmt: skip

TABLE = {**CONTAINERS, **PIXELS, **TIMES, **SHAPES, **STREAMS_ROWS, **DAMAGE}
#: Tried every time, in one mode; the others with the slow tests.
QUICK = (
    "mp4", "vp9_webm", "prores_mov", "mpeg4_avi", "qtrle_with_alpha", "yuv444p", "wrongly_rgb",
    "variable_rate", "edit_list", "times_that_begin_anew", "turned_and_mirrored", "odd_size",
    "unflagged", "everything_mkv", "begins_amid_a_group", "cut_mkv", "many_damages", "song",
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(row: Row, mode: Mode, folder: Path, equipment) -> None:
    source = row.make(folder)
    task = Task(mode=mode, preset="ultrafast")
    output = folder / "out.bin"
    if row.refused is not None:
        with pytest.raises(InputError) as refusal:
            process(source, output, task, equipment=equipment)
        assert refusal.value.reason is row.refused
        assert source in folder.iterdir()
        assert not [each for each in folder.iterdir() if each.name.startswith(("out", ".out"))]
        return
    report = process(source, output, task, equipment=equipment)
    assert len(report.checks) >= 8
    assert all(check.passed for check in report.checks)
    assert report.dropped == ()
    assert {note.partition(":")[0] for note in report.notes} <= NOTES
    for wanted in row.notes:
        assert [note for note in report.notes if note.startswith(wanted)], report.notes


@pytest.mark.parametrize("name", QUICK)
def test_difficult_videos_come_out_right_or_are_refused(tmp_path, equipment, name):
    check(TABLE[name], Mode.BOTH, tmp_path, equipment)


@pytest.mark.slow
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", TABLE)
def test_all_difficult_videos_in_every_mode(tmp_path, equipment, name, mode):
    check(TABLE[name], mode, tmp_path, equipment)
