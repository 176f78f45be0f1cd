import asyncio

import pytest

from controller.records import Actor, Request
from controller.settings import Settings
from controller.states import JobState
from controller.wiring import open_controller
from remote_runner.protocol import Task
from tests.e2e.story import SAMPLE
from tests.runner.clips import make_clip
from tests.runner.video.excerpts import describe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OWNER = Actor(7)


async def wait_for_end(controller, job):
    for _ in range(2400):
        found = controller.get(job.id, by=OWNER)
        if found.state.is_terminal:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"still {found.state}")


async def draft_of(controller, path):
    request = Request(key=f"tg:1:{path.name}", owner=7, chat=1)
    return await controller.accept_local(request, path=path, task=Task(preset="ultrafast"))


@pytest.mark.parametrize("film", ["shipped", "longer"])
async def test_a_sample_and_then_the_whole_on_one_machine(tmp_path, film):
    path = SAMPLE
    if film == "longer":
        path = make_clip(
            tmp_path / "film.mp4", count=192, audio=1, width=96, options={"crf": "18", "g": "48"}
        )
    settings = Settings(data_dir=tmp_path / "data", poll_s=0.2, idle_s=30)
    async with open_controller(settings) as controller:
        draft = await draft_of(controller, path)
        sample = await wait_for_end(controller, controller.sample(draft.id, by=OWNER, key="s"))
        assert (sample.state, sample.reason) == (JobState.DONE, None)
        assert sample.output_key == f"jobs/{sample.id}/sample.mp4"
        assert [note for note in sample.result.notes if note.startswith("sample:")]
        async with controller.result_file(sample) as result:
            width, seconds = describe(result)
            assert width == 2 * draft.facts.width
            assert 2 < seconds <= 3 + 1 / 24
        async with controller.picture_file(sample) as picture:
            assert picture.read_bytes()[1:4] == b"PNG"
        async with controller.clip_file(sample) as clip:
            assert describe(clip)[1] <= 3.1
        assert await controller.clip_bytes(sample) == sample.result.clip_bytes > 0
        assert list(settings.storage_dir.glob("output/*")) == []
        assert controller.get(draft.id, by=OWNER).state is JobState.DRAFT
        assert controller.estimate(draft).measured

        controller.start(draft.id, by=OWNER)
        whole = await wait_for_end(controller, draft)
        assert (whole.state, whole.reason) == (JobState.DONE, None)
        assert whole.result.facts.frames == draft.facts.frames
        assert controller.attempt(draft.id).machine == controller.attempt(sample.id).machine
        assert "fetch" not in {**whole.result.timings, **sample.result.timings}
        controller.release_idle_machines()
        for _ in range(300):
            if not controller.machines():
                break
            await asyncio.sleep(0.1)
        assert controller.machines() == []
