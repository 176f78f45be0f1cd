"""What a rented machine runs before its runner: two scripts and the runner's own files.

The first script is the machine's dead-man switch and travels with the create call, so it is
small. The second is fetched from storage; it is :file:`remote_runner/boot.py` with its plan.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from remote_runner.protocol import VERSION

# Runs as the container's first process and never ends: a container whose process ends is started
# again, and billed on. The work is done by a thread, so that nothing which hangs holds up the
# watch. The group is killed again and again because the thread may just have started it; its
# leader is not reaped (WNOWAIT), so that the number is never somebody else's. After a restart the
# file "ended" tells that the work is over. Every character counts here.
_FIRST = """\
p=$(command -v python3||command -v python)||{ echo "[BOOT] no python";exec sleep inf;}
exec "$p" -u - <<'X'
import os,sys,json,threading,subprocess as s,urllib.request as u
from time import*
T,API,BOOT,NEXT,P,N=@PLAN@
g=os.environ.pop
k=g("CONTAINER_API_KEY","")
i=g("CONTAINER_ID","")
A=API+"/api/v0/instances/"+i+"/"
H={"Content-Type":"application/json","Authorization":"Bearer "+k}
c=[]
def ask(what,m,url,data=None,h={}):
 b=None
 try:
  with u.urlopen(u.Request(url,data,h,method=m),timeout=20)as r:b,a=r.read(),r.status
 except Exception as e:a=getattr(e,"code",type(e).__name__)
 try:print("[BOOT]",what,a)
 except OSError:0
 return b
def keep(n,*a):
 for _ in range(n):
  r=ask(*a)
  if r is not None:return r
  sleep(P)
def work():
 os.makedirs("noxfvr",exist_ok=True)
 os.chdir("noxfvr")
 if os.path.exists("ended"):return
 ok=b'"id"'in(keep(N*bool(k and i),"key","GET",A,None,H)or b"")
 keep(9**9,"armed","PUT",BOOT,json.dumps({"phase":"armed","key":ok,"version":@VERSION@}).encode())
 while not ok:sleep(P)
 b=keep(9**9,"next","GET",NEXT)
 with open("boot.py","wb")as f:f.write(b)
 c.append(s.Popen([sys.executable,"boot.py"],stdin=s.DEVNULL,start_new_session=True))
 os.waitid(os.P_PID,c[0].pid,os.WEXITED|os.WNOWAIT)
 open("ended","w")
t=threading.Thread(target=work,daemon=True)
t.start()
while time()<T and t.is_alive():sleep(.5)
while 1:
 try:
  for p in c:os.killpg(p.pid,9)
 except OSError:0
 ask("destroy","DELETE",A,b"{}",H)
 sleep(P)
X
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """What the second script has to do. Sizes in bytes, times in epoch seconds (``…_at``).

    The runner comes from a bundle or from a repository: exactly one of the two is named.
    """

    orders_url: str = field(repr=False)
    boot_url: str = field(repr=False)
    deadline_at: float
    device: str
    """``cuda`` or ``cpu``; a machine without its device is refused."""
    min_gpu_memory_bytes: int = 0
    lowest_capability: float | None = None
    """Compute capabilities for which the image has kernels; None is not checked."""
    highest_capability: float | None = None
    bundle_url: str = field(default="", repr=False)
    bundle_sha256: str = ""
    git_url: str = field(default="", repr=False)
    git_ref: str = ""
    requirements: tuple[str, ...] = ()
    """``name`` or ``name>=version``, as pip reads them."""
    models_dir: str = "data/models"
    """Inside the bundle or repository."""
    pause_s: float = 5.0
    """Before something is tried again."""

    def __post_init__(self) -> None:
        if bool(self.bundle_url and self.bundle_sha256) == bool(self.git_url and self.git_ref):
            raise ValueError("a runner comes from a bundle or from a repository at a fixed ref")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The runner and the shipped models as a tar.gz."""

    data: bytes = field(repr=False)
    sha256: str


def first_script(
    *,
    deadline_at: float,
    api_url: str,
    boot_url: str,
    second_url: str,
    pause_s: float = 10.0,
    key_tries: int = 5,
) -> str:
    """The text for ``bash -c``: a watchdog that proves its key, reports and fetches the rest.

    Destroys its own instance when the second script ends or the deadline passes, and goes on
    asking for it every ``pause_s`` seconds. Works in the folder ``noxfvr`` of the one where it is
    started. Vast.ai sets ``CONTAINER_ID`` and ``CONTAINER_API_KEY``
    (docs.vast.ai, "Docker environment").
    """
    plan = json.dumps([deadline_at, api_url, boot_url, second_url, pause_s, key_tries])
    return _FIRST.replace("@VERSION@", str(VERSION)).replace("@PLAN@", plan)


def second_script(plan: BootPlan) -> bytes:
    """The Python program that the first script fetches and runs."""
    document = json.dumps({"version": VERSION, **dataclasses.asdict(plan)})
    source = (files("remote_runner") / "boot.py").read_text()
    return f"{source}\n\nsys.exit(main(json.loads({document!r})))\n".encode()


def runner_requirements() -> tuple[str, ...]:
    """What the runner needs installed, from its own list."""
    text = (files("remote_runner") / "requirements.txt").read_text()
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def build_bundle() -> Bundle:
    """The same bytes for the same files: names sorted, no times, no owners."""
    package = Path(str(files("remote_runner")))
    root = package.parent
    paths = [*package.rglob("*.py"), package / "requirements.txt"]
    paths += (root / "data" / "models").glob("*.pth")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(paths):
            data = path.read_bytes()
            # a new entry has mode 644, owner 0 and time 0
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    data = gzip.compress(packed.getvalue(), mtime=0)
    return Bundle(data=data, sha256=hashlib.sha256(data).hexdigest())


def bundle_key(sha256: str) -> str:
    """Where a bundle lies in storage: named by its content, so it is written once."""
    return f"machines/bundles/{sha256}.tar.gz"
