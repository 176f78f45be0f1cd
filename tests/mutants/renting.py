"""Bugs by which a machine is rented twice, is lost as it is created, or takes the wrong work."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

RENTING = (
    Mutant(
        name="create-retried",
        breaks="A create call whose answer is lost is sent again: two machines.",
        promise=Promise.ONE_EACH,
        path="controller/providers/vast.py",
        swaps=(
            (
                "answer = await self.api.call_once(vast_api.CREATE,",
                "answer = await self.api.call(vast_api.CREATE,",
            ),
        ),
        tests=(
            "tests/controller/vast/test_vast_provider.py::test_each_answer_to_a_create_is_a_type_and_none_is_asked_for_twice",
        ),
    ),
    Mutant(
        name="create-repeated-by-the-client",
        breaks="The HTTP client sends a create call again whose connection drops.",
        promise=Promise.ONE_EACH,
        path="controller/providers/vast_api.py",
        swaps=(
            ("        once = _Once()\n", ""),
            (
                "async with self._new_session(connector, middlewares=(once,)) as session:",
                "async with self._new_session(connector) as session:",
            ),
        ),
        tests=(
            "tests/controller/test_vast_api.py::test_a_create_leaves_exactly_once_in_whatever_phase_its_connection_drops",
        ),
    ),
    Mutant(
        name="unclear-create-refused",
        breaks="A create call without an answer counts as refused: its machine is forgotten.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/place.py",
        swaps=(
            (
                "self._record_created(machine.id, MachineState.UNKNOWN)",
                "self._refused(machine, assigned[1], ProviderError(str(error)))",
            ),
        ),
        tests=(
            "tests/controller/test_machines.py::test_a_machine_whose_create_answer_was_lost_is_adopted_by_its_label",
        ),
    ),
    Mutant(
        name="contract-in-error-ignored",
        breaks="An error that comes with an instance counts as a refusal: the instance is billed.",
        promise=Promise.GIVEN_BACK,
        path="controller/providers/vast_answers.py",
        swaps=(
            (
                """\
    if answer.body and answer.body.get("new_contract") is not None:
        return Unclear(f"an error came with an instance: {told}")
""",
                "",
            ),
        ),
        tests=("tests/controller/test_vast_answers.py::test_every_shape_of_error_has_its_type",),
    ),
    Mutant(
        name="no-adoption",
        breaks="A machine whose create answer was lost is looked for by an id that nobody has.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/reap.py",
        swaps=(
            (
                """\
        if instances:
            log.info("Adopting""",
                """\
        if [each for each in instances if each.id == machine.instance]:
            log.info("Adopting""",
            ),
        ),
        tests=(
            "tests/controller/test_machines.py::test_a_machine_whose_create_answer_was_lost_is_adopted_by_its_label",
        ),
    ),
    Mutant(
        name="rents-without-a-listing",
        breaks="More is rented while it is not known what exists.",
        promise=Promise.ONE_EACH,
        path="controller/loops/reap.py",
        swaps=(
            (
                """\
            self._known_at = float("-inf")
            log.warning("The listing""",
                """\
            self._known_at = context.clock()
            log.warning("The listing""",
            ),
        ),
        tests=(
            "tests/controller/test_renting.py::test_nothing_is_rented_while_the_listing_is_unknown",
        ),
    ),
    Mutant(
        name="one-machine-too-many",
        breaks="One machine more than the cap is rented.",
        promise=Promise.ONE_EACH,
        path="controller/loops/place.py",
        swaps=(
            (
                "return len(machines) < self._context.settings.max_machines",
                "return len(machines) <= self._context.settings.max_machines",
            ),
        ),
        tests=(
            "tests/controller/test_machines.py::test_no_more_machines_than_allowed_run_side_by_side",
        ),
    ),
    Mutant(
        name="twins-left-alive",
        breaks="A second machine under the label of one that works is left to be billed.",
        promise=Promise.ONE_EACH,
        path="controller/loops/reap.py",
        swaps=(
            (
                "found |= {each.id for each in instances} - {machine.instance}",
                "found |= set()",
            ),
        ),
        tests=(
            "tests/controller/test_hard_cases.py::test_a_second_instance_under_a_living_label_is_destroyed_at_once",
        ),
    ),
    Mutant(
        name="renting-is-strange",
        breaks="A machine whose create call has not been answered yet is swept away.",
        promise=Promise.ENDS,
        path="controller/loops/reap.py",
        swaps=(
            (
                "machine is None or machine.state is MachineState.GONE:",
                "machine is None or machine.state in (MachineState.GONE, MachineState.RENTING):",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_a_machine_is_no_stranger_while_its_create_call_is_answered",
        ),
    ),
    Mutant(
        name="expiry-not-in-label",
        breaks="The label has the time of birth in it: without a database nobody knows its end.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/renting.py",
        swaps=(
            (
                "str(Label(context.store.deployment, machine_id, int(expires_at)))",
                "str(Label(context.store.deployment, machine_id, int(now)))",
            ),
        ),
        tests=("tests/controller/test_vast_house.py::test_labels_say_whose_and_until_when",),
    ),
    Mutant(
        name="warm-machine-near-its-end",
        breaks="A warm machine takes a job that does not fit before its deadline.",
        promise=Promise.ENDS,
        path="controller/quotes.py",
        swaps=(
            (
                """\
        allowed_s = policy.allowance_s(self.estimate(job).seconds, limit_s)
        ends_at = latest_of(self._clock) + allowed_s
        if machine.retire_requested_at is not None or machine.expires_at < ends_at:
""",
                """\
        if machine.retire_requested_at is not None or machine.expires_at < latest_of(self._clock):
""",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_a_warm_machine_takes_no_job_that_would_outlive_it",
        ),
    ),
    Mutant(
        name="ban-without-decay",
        breaks="Strikes against a host are never forgiven.",
        promise=Promise.ENDS,
        path="controller/store/machines.py",
        swaps=(
            (
                'forgiven = int((now - row["struck_at"]) // self.FORGIVEN_S) if row else 0',
                "forgiven = 0",
            ),
        ),
        tests=(
            "tests/controller/test_renting.py::test_hosts_are_banned_longer_each_time_and_forgiven",
        ),
    ),
)
