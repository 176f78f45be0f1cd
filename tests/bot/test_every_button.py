"""A tap on every button that any card can show, by its owner, by another user, by a stranger."""

import logging

import pytest

from tests.bot import job_scenes, page_scenes
from tests.bot.stage import Stage
from tests.bot.tapping import Errors, Tapper, list_all

#: By scene: what its buttons carry at least, in the words of ``tapping.describe``.
SCENES = {
    "see_welcome": "ln ln:choice=None ln:choice=auto ln:choice=en ln:choice=ru ln:origin=cmd "
    "ln:origin=set ln:origin=start se se:origin=set se:origin=start",
    "see_defaults": "g o",
    "see_draft_and_its_settings": "o:setting=None o:setting=between o:setting=codec "
    "o:setting=container o:setting=denoise o:setting=mode o:setting=model o:setting=quality "
    "o:setting=rate o:setting=size",
    "see_draft_that_would_ask": "p p:preset=both p:preset=fps2 p:preset=x2 p:preset=x4",
    "see_sample": "j:act=start j:act=stop j:at=res",
    "see_failed_sample": "j:act=change j:at=res",
    "see_hold_for_a_price": "j j:act=ask j:act=change j:act=deny j:act=ok j:at=ask j:at=card",
    "see_hold_for_a_budget": "j:act=ok j:at=ask",
    "see_hold_for_a_long_run": "j:act=ok",
    "see_wait_for_a_price": "j:act=admin t t:at=ask t:at=card",
    "see_queue_and_run": "d j:act=no j:act=yes",
    "see_picture_while_it_runs": "d",
    "see_cancelling": "j:act=retry",
    "see_failure": "j:act=retry",
    "see_result": "j:act=again",
    "see_link": "l",
    "see_too_large": "w",
    "see_menu": "j:act=sample j:at=menu",
    "see_group": "gr gr:act=None gr:act=ask gr:act=no gr:act=yes",
    "see_batch": "bt bt:act=ask bt:act=no bt:act=page bt:act=preset bt:act=sample bt:act=start "
    "bt:act=yes",
    "see_batch_that_is_held": "bt:act=deny bt:act=ok",
    "see_batch_with_a_failure": "bt:act=retry",
    "see_batch_that_was_done_before": "bt:act=again",
    "see_status": "lo st st:act=a st:act=o st:act=s st:act=w st:act=y st:sieve=all st:sieve=end "
    "st:sieve=fai st:sieve=hel st:sieve=que st:sieve=run",
    "see_machines": "mc mc:act=a mc:act=s mc:act=y",
    "see_money_and_health": "hl sp",
    "see_alerts": "al al:act=h al:act=m al:act=q al:act=s lo",
    "see_people": "us us:act=ar us:act=b us:act=d us:act=ia us:act=iu us:act=l us:act=ma "
    "us:act=mu us:act=r us:act=rv us:act=s",
    "see_queue": "qu qu:act=d qu:act=f qu:act=k qu:act=l qu:act=p qu:act=r qu:act=s qu:act=u "
    "qu:act=w qu:act=x",
}  # fmt: skip
#: By the same names: what brings them on screen.
PLAYS = {
    name: play
    for name, play in (vars(job_scenes) | vars(page_scenes)).items()
    if name.startswith("see_")
}
#: What no button carries: groups know cancelling alone, prices are on cards and in questions,
#: and nothing leads back to what a command has opened.
NEVER = {
    *(f"gr:act={act}" for act in (
        "start", "retry", "sample", "stop", "change", "ok", "deny", "admin", "again",
    )),
    "t:at=menu", "t:at=res", "se:origin=cmd",
}  # fmt: skip


@pytest.fixture
def errors():
    handler = Errors()
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("name", sorted(SCENES))
async def test_every_button_answers_those_who_may_press_it_and_nobody_else(
    name, rented, bot_settings, errors
):
    tapper = Tapper(Stage(rented, bot_settings))
    await PLAYS[name](tapper)
    assert not errors, errors[0]
    assert not set(SCENES[name].split()) - tapper.seen
    assert not NEVER & tapper.seen


def test_no_kind_of_button_is_left_out():
    assert SCENES.keys() == PLAYS.keys()
    assert {word for words in SCENES.values() for word in words.split()} == list_all() - NEVER
