"""Bugs by which a secret gets out, or somebody reaches what is another's."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

PRIVACY = (
    Mutant(
        name="owner-not-checked",
        breaks="Whoever knows the id of a job can cancel, start and see it.",
        promise=Promise.HANDS_OFF,
        path="controller/service.py",
        swaps=(
            (
                "mine = [job for job in found if by.admin or job.owner == by.user]",
                "mine = [job for job in found if by.admin or by.user]",
            ),
        ),
        tests=(
            "tests/controller/test_job_lifecycle.py::test_another_user_cannot_see_or_touch_a_job_and_an_admin_can",
        ),
    ),
    Mutant(
        name="batch-owner-not-checked",
        breaks="Whoever knows the id of a batch can start and cancel it.",
        promise=Promise.HANDS_OFF,
        path="controller/batches.py",
        swaps=(
            (
                "if not by.admin and batch.owner != by.user:",
                "if not by.admin and batch.owner is None:",
            ),
        ),
        tests=("tests/controller/test_batches.py::test_others_batches_are_nobodys",),
    ),
    Mutant(
        name="anybody-is-served",
        breaks="A stranger who writes to the bot is served.",
        promise=Promise.HANDS_OFF,
        path="bot/middlewares.py",
        swaps=(
            (
                "if role is None or role is Role.BLOCKED:",
                "if role is Role.BLOCKED:",
            ),
        ),
        tests=("tests/bot/test_gate.py::test_a_strangers_message_gets_nothing",),
    ),
    Mutant(
        name="admins-by-their-word",
        breaks="Buttons of administrators work for everybody who presses them.",
        promise=Promise.HANDS_OFF,
        path="bot/handlers/access.py",
        swaps=(("    router.callback_query.filter(is_admin)\n", ""),),
        tests=("tests/bot/test_admin.py::test_only_admins_have_the_admins_buttons",),
    ),
    Mutant(
        name="tracebacks-unredacted",
        breaks="A traceback is logged with the secrets in it.",
        promise=Promise.SECRET,
        path="controller/redaction.py",
        swaps=(
            (
                "        shown = redact(text, self._secrets).translate(_MOVES)\n",
                """\
        line, newline, rest = text.partition("\\n")
        shown = (redact(line, self._secrets) + newline + rest).translate(_MOVES)
""",
            ),
        ),
        tests=(
            "tests/controller/test_logging.py::test_a_secret_is_nowhere_however_it_is_written",
        ),
    ),
    Mutant(
        name="key-travels-to-the-machine",
        breaks="The key of the account is in the environment of every rented machine.",
        promise=Promise.SECRET,
        path="controller/loops/renting.py",
        swaps=(
            (
                "            env={},\n",
                '            env={"VAST_API_KEY": settings.vast_api_key},\n',
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_nothing_that_a_machine_is_given_has_a_secret_of_the_account",
        ),
    ),
    Mutant(
        name="addresses-without-end",
        breaks="Addresses that a machine is given are good for a week, whatever its deadline.",
        promise=Promise.SECRET,
        path="controller/storage/presign.py",
        swaps=(
            (
                "expires = int(min(max(lasts_s, SHORTEST_S), LONGEST_S))",
                "expires = int(max(lasts_s, LONGEST_S))",
            ),
        ),
        tests=(
            "tests/controller/storage/test_s3_urls.py::test_urls_expire_within_a_minute_and_a_week",
        ),
    ),
    Mutant(
        name="addresses-outlive-their-machine",
        breaks="The addresses of a grant are good for six days, not until its machine ends.",
        promise=Promise.SECRET,
        path="controller/mailbox.py",
        swaps=(
            (
                "    return machine.expires_at + _URL_MARGIN_S",
                "    return machine.expires_at + 6 * 86400.0",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_the_addresses_that_a_machine_is_given_end_with_it",
        ),
    ),
    Mutant(
        name="address-in-a-log",
        breaks="What a machine prints is kept and shown with the addresses in it.",
        promise=Promise.SECRET,
        path="controller/loops/tail.py",
        swaps=(
            (
                "return [shown[line] for line in lines]",
                "return [line[:500] for line in lines]",
            ),
        ),
        tests=("tests/controller/test_tail.py::test_secrets_of_the_account_are_never_kept",),
    ),
    Mutant(
        name="name-leads-out",
        breaks="A path may lead out of the storage folder by a link.",
        promise=Promise.HANDS_OFF,
        path="controller/storage/folder.py",
        swaps=(
            (
                "if not path.resolve().is_relative_to(self._root.resolve()):",
                "if not path.is_relative_to(self._root):",
            ),
        ),
        tests=("tests/controller/test_folder.py::test_a_link_that_leads_out_is_refused",),
    ),
    Mutant(
        name="runner-sees-the-environment",
        breaks="A runner on one's own computer gets the whole environment, secrets included.",
        promise=Promise.SECRET,
        path="controller/providers/local.py",
        swaps=(
            (
                "env |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}",
                "env |= os.environ",
            ),
        ),
        tests=(
            "tests/controller/test_local_provider.py::test_a_runner_lives_in_a_group_of_its_own_and_sees_no_secret",
        ),
    ),
)
