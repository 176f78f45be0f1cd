"""Bugs by which a machine outlives its work."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

ENDINGS = (
    Mutant(
        name="destroyed-by-id-alone",
        breaks="What lives under the label of a machine on its way out, beside it, is left alone.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/reap.py",
        swaps=(
            (
                """\
            machine.id: {instance.id for instance in by_label.get(machine.label, [])}
            | ({machine.instance} if machine.instance and not machine.destroyed_at else set())
""",
                """\
            machine.id: {machine.instance} if machine.instance else set()
""",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_what_appears_under_the_label_of_a_machine_on_its_way_out_ends_with_it",
        ),
    ),
    Mutant(
        name="gone-at-first-absence",
        breaks="One listing without a machine is taken for the proof that it is gone.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/reap.py",
        swaps=(("_PROOF = 2\n", "_PROOF = 1\n"),),
        tests=("tests/controller/test_machines.py::test_gone_needs_two_complete_listings",),
    ),
    Mutant(
        name="gone-as-told",
        breaks="The answer to a destroy call is believed: a machine is gone when it is told so.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/reap.py",
        swaps=(
            (
                "machine, destroyed_at=now, absences=0, absent_since=None\n",
                "machine, destroyed_at=now, absences=_PROOF, absent_since=now\n",
            ),
            (
                """\
            return 1 if changed else 0
        if machine.absences""",
                """\
            if changed:
                store.machines.move(changed, MachineState.GONE, gone_at=now)
            return 1 if changed else 0
        if machine.absences""",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_no_machine_is_gone_while_it_lives_whatever_the_provider_says",
            "tests/controller/test_machines.py::test_gone_needs_two_complete_listings",
        ),
    ),
    Mutant(
        name="destroy-given-up",
        breaks="After a quarter of an hour nobody asks for the end of a machine any more.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/reap.py",
        swaps=(
            (
                """\
        if machine.state is MachineState.RETIRING:
            return machine
""",
                """\
        if machine.state is MachineState.RETIRING:
            tried_s = self._context.clock() - machine.retire_requested_at
            return machine if tried_s < 900 else None
""",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_the_end_of_a_machine_is_asked_for_for_as_long_as_it_takes",
        ),
    ),
    Mutant(
        name="reaper-spares-the-claimed",
        breaks="A machine past its deadline lives on for as long as a dead database claims it.",
        promise=Promise.GIVEN_BACK,
        path="controller/orphans.py",
        swaps=(
            (
                'return expired or (None if label.machine in claimed else "no work claims it")',
                'return None if label.machine in claimed else expired or "no work claims it"',
            ),
        ),
        tests=("tests/controller/test_hard_cases.py::test_a_claim_ends_with_the_deadline",),
    ),
    Mutant(
        name="deadline-passed-over",
        breaks="A machine past its deadline is kept while its runner reports.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/reap.py",
        swaps=(
            (
                "elif now >= machine.expires_at:",
                "elif now >= machine.expires_at and machine.booted_at is None:",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_a_machine_past_its_deadline_ends_though_nobody_watches_its_work",
        ),
    ),
    Mutant(
        name="idle-machine-kept",
        breaks="A machine that waits for a next job is never given back.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/reap.py",
        swaps=(
            (
                "if now >= machine.idle_since + self._context.settings.idle_s:",
                "if now >= machine.expires_at - self._context.settings.idle_s:",
            ),
        ),
        tests=(
            "tests/controller/test_job_lifecycle.py::test_a_warm_machine_takes_the_next_job_and_an_idle_one_is_given_back",
        ),
    ),
    Mutant(
        name="unarmed-machine-kept",
        breaks="A machine that never said that its watchdog runs is left to boot on.",
        promise=Promise.GIVEN_BACK,
        path="controller/policy.py",
        swaps=(
            (
                "elif machine.boot is None and now - machine.running_at > ARMED_S:",
                "elif machine.boot is None and now - machine.running_at > 10 * ARMED_S:",
            ),
        ),
        tests=(
            "tests/controller/test_renting.py::test_a_machine_that_does_not_report_that_it_is_armed_is_destroyed",
        ),
    ),
    Mutant(
        name="self-end-asked-once",
        breaks="A machine asks for its own end once: an answer that is lost keeps it alive.",
        promise=Promise.GIVEN_BACK,
        path="controller/bootstrap.py",
        swaps=(
            (
                """\
 ask("destroy","DELETE",A,b"{}",H)
 sleep(P)
X
""",
                """\
 ask("destroy","DELETE",A,b"{}",H)
 sleep(T)
X
""",
            ),
        ),
        tests=(
            "tests/controller/test_bootstrap.py::test_at_the_deadline_all_work_is_killed_and_the_end_is_asked_for_ever",
        ),
    ),
    Mutant(
        name="watchdog-moves-its-end",
        breaks="New orders move the end of a runner to a later time.",
        promise=Promise.GIVEN_BACK,
        path="remote_runner/watchdog.py",
        swaps=(
            (
                "if self._deadline_at is None or deadline_at < self._deadline_at:",
                "if deadline_at != self._deadline_at:",
            ),
        ),
        tests=("tests/runner/test_watchdog.py::test_an_end_comes_nearer_and_never_moves_away",),
    ),
)
