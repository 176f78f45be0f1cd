"""A server that was asked for a file must not make us ask a neighbour, or a disk, for one."""

import socket
import urllib.request

import pytest

from remote_runner import urls
from remote_runner.errors import MachineError
from remote_runner.models.fetch import Download, fetch
from remote_runner.transfer import read
from remote_runner.video.remote import RemoteFile

NAMES = {
    "files.example": "93.184.216.34", "intranet.example": "10.0.0.7", "meta.example":
    "169.254.169.254", "six.example": "fd00::1", "mapped.example": "::ffff:127.0.0.1",
}  # fmt: skip


@pytest.fixture
def names(monkeypatch):
    """What names stand for, without asking anybody."""

    def look_up(host, port, *rest, **more):
        if host[:1].isdigit() or ":" in host:
            return [(0, 0, 0, "", (host, 0))]
        if host not in NAMES:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(0, 0, 0, "", (NAMES[host], 0))]

    monkeypatch.setattr(urls.socket, "getaddrinfo", look_up)


INWARDS = (
    "http://127.0.0.1:8080/metrics", "http://localhost/", "https://127.0.0.1/", "https://[::1]/",
    "https://10.0.0.7/", "https://192.168.1.1/", "https://169.254.169.254/latest/meta-data/",
    "https://intranet.example/", "https://meta.example/", "https://six.example/",
    "https://mapped.example/", "https://0.0.0.0/", "https://[fe80::1%25eth0]/", "https://100.64.0.1/",
)  # fmt: skip


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("target", INWARDS)
def test_from_outside_nothing_leads_inside(target):
    assert urls.leads_inside(target, "https://files.example/x")
    request = urllib.request.Request("https://files.example/x?signature=s3cret")
    with pytest.raises(MachineError) as refused:
        urls._Cautious().redirect_request(request, None, 302, "Found", {}, target)
    assert "s3cret" not in refused.value.detail


@pytest.mark.usefixtures("names")
def test_what_stays_outside_or_was_inside_is_followed():
    assert not urls.leads_inside("https://files.example/b", "https://files.example/a")
    assert not urls.leads_inside("https://nowhere.example/", "https://files.example/a")
    assert not urls.leads_inside("https://10.0.0.8/b", "https://intranet.example/a")


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x", "http://files.example/x",
     "gopher://127.0.0.1:25/x", "//[broken"],
)  # fmt: skip
def test_a_redirect_to_another_kind_of_place_is_not_followed(listener, target, monkeypatch):
    monkeypatch.setattr(urls, "FIRST_DELAY_S", 0.001)
    listener.answers["/x"] = (302, {"Location": target})
    url = f"{listener.url}/x"
    for ask in (lambda: read(url, 100), lambda: RemoteFile(url)):
        with pytest.raises(MachineError):
            ask()
    assert set(listener.asked) == {"/x"}


def test_weights_are_not_fetched_from_inside_either(listener, tmp_path, monkeypatch):
    """Whoever names an address of weights may not look around by it in the owner's network."""
    monkeypatch.setattr(urls, "_is_inside", lambda url: "/inside" in url)
    listener.answers["/x"] = (302, {"Location": f"{listener.url}/inside"})
    download = Download(url=f"{listener.url}/x", sha256="0" * 64)
    with pytest.raises(MachineError):
        fetch(download, cache_dir=tmp_path, progress=lambda *_: None, tries=1)
    assert listener.asked == ["/x"]
