import stat
import threading

import pytest

from controller.capabilities import Codes
from controller.errors import SettingsError
from controller.redaction import redact
from controller.settings import load_settings


def test_codes_are_long_stable_and_of_one_secret(tmp_path):
    codes = Codes(tmp_path / "key")
    code = codes.make("link", "a", 1.5)
    assert (len(code), code) == (24, Codes(tmp_path / "key").make("link", "a", 1.5))
    assert len({code, codes.make("link", "a", 1.25), codes.make("upload", "a", 1.5)}) == 3
    assert Codes(tmp_path / "other").make("link", "a", 1.5) != code
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "other"]


def test_an_address_that_is_a_key_is_in_no_log(tmp_path):
    code = Codes(tmp_path / "key").make("upload", "a")
    for kind in "ud":
        shown = redact(f"GET https://videos.example.org/{kind}/{code}/state failed")
        assert shown == f"GET https://videos.example.org/{kind}/***/state failed"


def test_two_that_make_the_secret_at_once_have_the_same(tmp_path):
    made = []
    start = threading.Barrier(4)

    def make():
        start.wait()
        made.append(Codes(tmp_path / "key").make("x"))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1


def test_the_pages_have_an_address_inside_and_may_have_one_outside():
    settings = load_settings({"NOXFVR_PUBLIC_URL": "https://videos.example.org/"})
    assert (settings.public_url, settings.bind) == (
        "https://videos.example.org", "127.0.0.1:8080",
    )  # fmt: skip
    assert settings.must_serve
    assert not load_settings({}).must_serve
    assert load_settings({"NOXFVR_BIND": "[::1]:9"}).bind_address == ("::1", 9)
    assert load_settings({"NOXFVR_PUBLIC_URL": "http://127.0.0.1:8080"}).public_url


@pytest.mark.parametrize(
    "env",
    [
        {"NOXFVR_BIND": "8080"}, {"NOXFVR_BIND": "127.0.0.1"}, {"NOXFVR_BIND": "::1:80"},
        {"NOXFVR_BIND": "127.0.0.1:99999"}, {"NOXFVR_BIND": ":80"},
        {"NOXFVR_PUBLIC_URL": "http://videos.example.org"},
        {"NOXFVR_PUBLIC_URL": "https://me:secret@videos.example.org"},
    ],
)  # fmt: skip
def test_addresses_that_cannot_be_are_told(env):
    with pytest.raises(SettingsError) as raised:
        load_settings(env)
    (problem,) = raised.value.problems
    assert next(iter(env)) in problem
    assert "secret" not in problem
