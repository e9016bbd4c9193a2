"""Two sessions of one program: from one of them, nothing of the other is to be had. At home all of it is."""

import json
import os
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.core.egress.sites import allow, needed, running

from blastwall.sandbox.boxes import Boxes
from blastwall.values import Credential, Lifetime, Profile, Source, Strength

HOLD = """
import os, socket, sys, time
mark, workspace = sys.argv[1:]
for path in ("/tmp/of-victim", "/dev/shm/of-victim", os.environ["HOME"] + "/of-victim", workspace + "/of-victim"):
    try:
        with open(path, "w") as file: file.write(mark)
    except OSError: pass
listener = socket.create_server(("127.0.0.1", 4444))
print("there", flush=True)
time.sleep(300)
"""
"""Puts a mark wherever one may write, and listens."""

REACH = """
import glob, json, os, socket, sys, urllib.error, urllib.request
aims = json.load(sys.stdin)
found = []
def attempt(name, do):
    try:
        if do(): found.append(name)
    except (OSError, urllib.error.URLError):
        pass
def holds(path):
    with open(path, "rb") as file: return aims["mark"].encode() in file.read()
def anywhere(pattern):
    own = {str(os.getpid()), str(os.getppid()), "self", "thread-self"}
    for path in glob.glob(pattern):
        if not own & {*path.split("/")}:
            try:
                if holds(path): return True
            except OSError:
                pass
def connects(port):
    with socket.create_connection(("127.0.0.1", port), 2): return True
def asks(token):
    request = urllib.request.Request(aims["url"], headers={"Authorization": "Bearer " + token})
    return urllib.request.urlopen(request, timeout=20).status == 200
def overwrites(path):
    with open(path, "r+") as file: file.write("x")
    return True
places = {"tmp": "/tmp", "shm": "/dev/shm", "home": os.environ["HOME"], "workspace": aims["workspace"]}
for name, place in places.items():
    attempt(name, lambda: holds(place + "/of-victim"))
    attempt("write to " + name, lambda: overwrites(place + "/of-attacker"))
attempt("process", lambda: anywhere("/proc/[0-9]*/cmdline"))
attempt("environment", lambda: anywhere("/proc/[0-9]*/environ"))
attempt("root", lambda: anywhere("/proc/[0-9]*/root/tmp/of-victim"))
attempt("listener", lambda: connects(4444))
attempt("gate", lambda: asks(os.environ.get("API_TOKEN", "none")))
attempt("placeholder", lambda: asks(aims["placeholder"]))
print(json.dumps(found))
"""

KINDS = [
    pytest.param("bwrap", {"strength": Strength.OS}, id="os"),
    pytest.param(
        "runsc", {"strength": Strength.CONTAINER, "lifetime": Lifetime.SESSION}, id="container-session"
    ),
    pytest.param(
        "qemu-system-x86_64", {"strength": Strength.VM, "lifetime": Lifetime.SESSION}, id="vm-session"
    ),
]


@dataclass
class Tenant:
    boxes: Boxes
    profile: Profile
    secret: str

    def reach(self, aims):
        done = self.boxes.run(["python3", "-c", REACH], self.profile, stdin=json.dumps(aims).encode())
        assert done.stdout, done.stderr
        return {*json.loads(done.stdout)}

    def placeholder(self):
        gate = self.boxes._gate(self.profile)
        assert gate
        return gate.placeholder("api")


@pytest.fixture
def tenants(request, tmp_path, profile, monkeypatch):
    """An attacker and a victim, whose profiles differ in nothing but the folder; and whom they talk to."""
    program, changes = request.param
    needed(program)
    owner = profile.workspace.stat()
    with ExitStack() as stack:
        site = stack.enter_context(running())
        made = []
        for name in ("attacker", "victim"):
            folder = tmp_path / name
            folder.mkdir()
            if os.geteuid() == 0:
                os.chown(folder, owner.st_uid, owner.st_gid)
            secret = f"real-secret-of-the-{name}"
            kept = tmp_path / f"{name}.secret"
            kept.write_text(secret)
            kept.chmod(0o600)
            credential = Credential("api", Source.FILE, (str(kept),), ("api.test",), "API_TOKEN")
            own = replace(
                profile,
                **changes,
                workspace=folder,
                memory_mb=256,
                scratch_mb=16,
                timeout_s=60,
                network=(allow("api.test", site),),
                credentials=("api",),
            )
            made.append(Tenant(stack.enter_context(Boxes({"api": credential})), own, secret))
        yield *made, site


@pytest.mark.parametrize("tenants", [p.values for p in KINDS], indirect=True, ids=[p.id for p in KINDS])
def test_what_one_session_has_is_out_of_the_others_reach(tenants):
    attacker, victim, site = tenants
    mark = uuid.uuid4().hex
    folder = victim.profile.workspace
    aims = {
        "mark": mark,
        "workspace": str(folder),
        "url": f"http://api.test:{site.port}/",
        "placeholder": victim.placeholder(),
    }
    (folder / "of-attacker").write_text("-")
    if os.geteuid() == 0:
        os.chown(folder / "of-attacker", folder.stat().st_uid, -1)
    with victim.boxes.launch(["python3", "-c", HOLD, mark, str(folder)], victim.profile, stdin=b"") as held:
        assert held.stdout.readline() == b"there\n", held.stderr.read()
        # At home: who shares the session reaches it, as far as a session shares anything.
        found = victim.reach(aims)
        assert found >= {"workspace", "write to workspace", "gate", "placeholder"}
        if victim.profile.lifetime is Lifetime.SESSION:
            assert found >= {"tmp", "shm", "home", "listener"}
        asked = [request.header("authorization") for request in site.asked]
        assert asked == [[f"Bearer {victim.secret}"]] * 2
        site.asked.clear()
        # Abroad: there is the attacker's own gate, and nothing else.
        found = attacker.reach(aims)
        assert found == {"gate", "placeholder"}, "both ask the site; which token it sees is what matters"
        own, stolen = site.asked
        assert own.header("authorization") == [f"Bearer {attacker.secret}"]
        assert stolen.header("authorization") == [f"Bearer {aims['placeholder']}"], "it means nothing here"
        # And by its end the attacker ends nothing of the victim's.
        attacker.boxes.close()
        assert "gate" in victim.reach(aims)
        assert (folder / "of-attacker").read_text() in ("-", "x")


@pytest.mark.parametrize("tenants", [p.values for p in KINDS[:1]], indirect=True, ids=["os"])
def test_they_share_no_gate(tenants):
    attacker, victim, _ = tenants
    gates = [tenant.boxes._gate(tenant.profile) for tenant in (attacker, victim)]
    for gate in gates:
        assert gate.files is not None
    processes = [gate._line._process.pid for gate in gates]
    assert len({*processes}) == 2
    secrets = [attacker.secret.encode(), victim.secret.encode()]
    for pid, own in zip(processes, secrets, strict=True):
        for name in ("cmdline", "environ"):
            told = Path(f"/proc/{pid}/{name}").read_bytes()
            assert not any(secret in told for secret in secrets)
        assert own  # its own is in its memory only
