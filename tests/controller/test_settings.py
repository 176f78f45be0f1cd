import pytest

from controller.errors import SettingsError
from controller.settings import Reader, load_settings, read_environment


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
