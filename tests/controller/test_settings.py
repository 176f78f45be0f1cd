import pytest

from controller.errors import SettingsError
from controller.settings import (
    Reader,
    load_provider_settings,
    load_settings,
    read_environment,
)


def test_defaults_are_those_of_the_contract():
    settings = load_settings({})
    assert (settings.max_price, settings.job_budget, settings.day_budget) == (0.10, 1.00, 5.00)
    assert (settings.max_input_gb, settings.max_input_min) == (20, 240)
    assert (settings.job_timeout_s, settings.idle_s, settings.max_machines) == (7200, 120, 4)
    assert (settings.provider, settings.storage, settings.model) == ("local", "folder", "auto")


def test_all_mistakes_are_reported_together():
    with pytest.raises(SettingsError) as caught:
        load_settings({
            "NOXFVR_MAX_PRICE": "cheap", "NOXFVR_MAX_MACHINES": "0", "NOXFVR_DEVICE": "gpu",
            "NOXFVR_PROVIDER": "aws", "NOXFVR_POLL_S": "nan",
        })  # fmt: skip
    assert len(caught.value.problems) == 5
    assert "NOXFVR_MAX_PRICE must be a number, not 'cheap'" in caught.value.problems


def test_secrets_are_known_to_the_redaction_and_not_shown():
    settings = load_settings({"TELEGRAM_BOT_TOKEN": "123:secret"})
    assert settings.secrets == ("123:secret",)
    assert "secret" not in repr(settings)


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    file = tmp_path / ".env"
    file.write_text("NOXFVR_IDLE_S=5\nNOXFVR_POLL_S=7\nB2_KEY=\n")
    monkeypatch.setenv("NOXFVR_IDLE_S", "9")
    env = read_environment(file)
    assert (env["NOXFVR_IDLE_S"], env["NOXFVR_POLL_S"]) == ("9", "7")
    assert "B2_KEY" not in env


def test_ids_are_numeric():
    reader = Reader({"TELEGRAM_ADMINS": "12, -5,@name"})
    assert reader.ids("TELEGRAM_ADMINS") == {12, -5}
    assert "@name" in reader.problems[0]


RENTED = {
    "NOXFVR_PROVIDER": "vast", "VAST_API_KEY": "v" * 64, "NOXFVR_STORAGE": "s3",
    "B2_BUCKET": "videos", "B2_KEY": "004key", "B2_SECRET": "K004secret",
    "B2_ENDPOINT": "s3.us-west-004.backblazeb2.com",
}  # fmt: skip


def problems_of(**env):
    with pytest.raises(SettingsError) as caught:
        load_settings({**RENTED, **env})
    return caught.value.problems


def test_a_rented_deployment_reads_its_settings():
    settings = load_settings(RENTED)
    assert settings.b2_endpoint == "https://s3.us-west-004.backblazeb2.com"
    assert settings.b2_region == "us-west-004"
    assert (settings.poll_s, settings.runner_device) == (10, "cuda")
    assert load_settings({**RENTED, "NOXFVR_DEVICE": "cpu"}).runner_device == "cpu"
    for secret in ("v" * 64, "K004secret"):
        assert secret in settings.secrets
        assert secret not in repr(settings)


def test_a_rented_machine_cannot_reach_a_folder():
    (problem,) = problems_of(NOXFVR_STORAGE="folder")
    assert "a rented machine cannot reach a folder" in problem


def test_every_key_that_is_missing_is_named_at_once():
    with pytest.raises(SettingsError) as caught:
        load_settings({"NOXFVR_PROVIDER": "vast", "NOXFVR_STORAGE": "s3"})
    missing = {problem.split()[0] for problem in caught.value.problems}
    assert missing == {"VAST_API_KEY", "B2_BUCKET", "B2_KEY", "B2_SECRET", "B2_ENDPOINT"}


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"NOXFVR_GIT_URL": "https://github.com/me/x"}, "NOXFVR_GIT_REF"),
        ({"NOXFVR_GIT_URL": "https://t:k@github.com/me/x", "NOXFVR_GIT_REF": "v1"}, "password"),
        ({"WEBHOOK_URL": "https://example.org/x"}, "NOXFVR_WEBHOOK_SECRET"),
        ({"NOXFVR_WEBHOOK_URL": "http://example.org/x", "NOXFVR_WEBHOOK_SECRET": "s"}, "https"),
        ({"NOXFVR_JOB_TIMEOUT": str(8 * 86400)}, "6 days"),
        ({"NOXFVR_MODEL": "RealESRGAN_x2"}, "realesr-general-x4v3"),
        ({"NOXFVR_MODEL": "/models/mine.pth"}, "NOXFVR_MODEL must be one of"),
    ],
)
def test_what_a_rented_deployment_cannot_use_is_refused_at_start(env, words):
    (problem,) = problems_of(**env)
    assert words in problem


def test_the_reaper_needs_one_key_only():
    assert load_provider_settings({"VAST_API_KEY": "x"}).vast_api_key == "x"
    with pytest.raises(SettingsError):
        load_provider_settings({})


@pytest.mark.parametrize(
    "env",
    [
        {"TELEGRAM_ADMINS": "--5"},
        {"TELEGRAM_ADMINS": "9" * 5000},
        {"NOXFVR_BIND": "host:" + "9" * 5000},
        {"NOXFVR_PUBLIC_URL": "https://["},
        {"NOXFVR_PUBLIC_URL": "https://a:b"},
        {"NOXFVR_PUBLIC_URL": "https://ex\tample.org"},
        {"WEBHOOK_URL": "https:///hook"},
        {"NOXFVR_STORAGE": "x" * 70_000},
    ],
)
def test_what_no_parser_takes_is_a_line_like_any_other_mistake(env):
    reader = Reader(env)
    (name,) = env
    reader.ids("TELEGRAM_ADMINS")
    reader.address("NOXFVR_BIND", "127.0.0.1:8080")
    reader.url("NOXFVR_PUBLIC_URL", "")
    reader.url("WEBHOOK_URL", "")
    reader.choice("NOXFVR_STORAGE", "folder", ("folder", "s3"))
    (problem,) = reader.problems
    assert problem.startswith(f"{name} must be")
    assert len(problem) < 200


def test_a_file_of_settings_that_is_no_text_is_told_of(tmp_path):
    file = tmp_path / ".env"
    file.write_bytes(b"NOXFVR_IDLE_S=\xff\xfe\n")
    with pytest.raises(SettingsError, match="UTF-8"):
        read_environment(file)
