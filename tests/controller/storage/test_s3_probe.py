from pathlib import Path

import pytest

from controller.errors import BadVideo
from controller.probe import Limits, ProbeError, probe
from remote_runner.protocol import Reason
from tests.runner.clips import make_clip

LIMITS = Limits(max_bytes=50_000_000, max_seconds=60)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"audio": 2, "subtitles": [[(0, 400, "Hello")]]}),
        ("b.mkv", {"audio": 1, "chapters": [(0, 500)]}),
        ("c.avi", {"codec": "mpeg4", "options": {"q": "5"}}),
        ("d.mp4", {"container_options": {"movflags": "+faststart"}, "rotation": 90}),
    ],
)
async def test_a_video_behind_a_url_has_the_facts_of_its_file(
    storage, b2, tmp_path, name, options
):
    path = make_clip(tmp_path / name, count=48, **options)
    b2.put(f"input/{name}", path.read_bytes())
    url = await storage.media_source(f"input/{name}")
    assert await probe(url, LIMITS) == await probe(path, LIMITS)


async def test_what_is_wrong_behind_a_url_is_told_without_the_url(storage, b2, tmp_path):
    clip = make_clip(tmp_path / "in.mp4", count=48).read_bytes()
    for name, data, reason in (
        ("text.mp4", b"It was a dark and stormy night.\n" * 40, Reason.NOT_A_VIDEO),
        ("empty.mp4", b"", Reason.EMPTY_FILE),
        ("cut.mp4", clip[: len(clip) // 2], Reason.TRUNCATED),
        ("large.mp4", clip + bytes(1000), Reason.FILE_TOO_LARGE),
    ):
        b2.put(name, data)
        limits = Limits(max_bytes=len(clip) + 500, max_seconds=60)
        with pytest.raises(BadVideo) as error:
            await probe(await storage.media_source(name), limits)
        assert error.value.reason is reason
        assert "X-Amz" not in str(error.value) and b2.bucket not in str(error.value)


async def test_a_url_that_does_not_answer_says_nothing_about_the_video(storage, b2, tmp_path):
    b2.put("in.mp4", make_clip(tmp_path / "in.mp4").read_bytes())
    url = await storage.media_source("in.mp4")
    b2.cap = True
    with pytest.raises(ProbeError) as error:
        await probe(url, LIMITS)
    assert "403" in str(error.value) and "X-Amz" not in str(error.value)
    with pytest.raises(ProbeError):
        await probe("http://example.com/in.mp4?X-Amz-Signature=s3cret", LIMITS)


async def test_a_relative_path_is_one_of_the_folder_that_we_are_in(tmp_path, monkeypatch):
    (tmp_path / "-empty.mp4").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadVideo) as refused:
        await probe(Path("-empty.mp4"), LIMITS)
    assert refused.value.reason is Reason.EMPTY_FILE
