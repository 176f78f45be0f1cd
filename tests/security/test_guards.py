"""Whoever runs a deployment is told which guards hold round the prober on this computer."""

import json

import pytest

from bot.terminal import doctor
from bot.terminal.doctor import judge_guards

ALL = ("calls", "files", "limits")


def test_all_guards_are_told_in_a_line():
    found = judge_guards(["calls", "files"])
    assert (found.level, found.name, found.remedy) == ("ok", "guards", "")
    assert found.detail == "calls, files, limits hold while a video is looked into"


@pytest.mark.parametrize("holding", [(), ("calls",), ("files",)], ids=str)
def test_a_guard_that_is_missing_is_a_warning_and_no_failure(holding):
    found = judge_guards(holding)
    held, _, missing = found.detail.partition("; not here: ")
    assert found.level == "warn" and "docs/security.md" in found.remedy
    assert held == f"{', '.join((*holding, 'limits'))} hold while a video is looked into"
    assert set(missing.split(", ")) == set(ALL) - {*holding, "limits"}


@pytest.mark.parametrize(
    ("guards", "levels"), [(["calls", "files"], ["ok", "ok"]), ([], ["ok", "warn"])], ids=str
)
async def test_the_doctor_asks_the_prober_itself(monkeypatch, guards, levels):
    """Only where it runs is seen what holds there: a library that starts a thread costs one."""

    async def answer(*arguments):
        assert arguments[2] == "probe"
        facts = {"codec": "h264", "width": 64, "height": 48}
        return 0, json.dumps({"facts": facts, "guards": guards}).encode()

    monkeypatch.setattr(doctor, "_run", answer)
    assert [each.level for each in await doctor._check_runner()] == levels
