"""Others than ours: what a sandbox's parts do when they are started by hand, and a peer."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from socket import socket, socketpair
from tempfile import TemporaryDirectory
from typing import Any

from blastwall import Profile, sandbox
from blastwall.sandbox import lease
from blastwall.sandbox.gvisor.outer import runsc
from blastwall.sandbox.gvisor.platforms import chosen as platform
from blastwall.sandbox.mounts import SYSTEM, mounts
from blastwall.sandbox.vm import qemu
from blastwall.sandbox.vm.channel import Frames, spell
from blastwall.sandbox.vm.guest import configuration
from blastwall.sandbox.vm.image import image
from blastwall.sandbox.vm.machine import chosen as processor
from blastwall.sandbox.vm.wire import CONFIGURE, EXITED, READY, START

HERE = Path(__file__).parent
PEER = "@anthropic-ai/sandbox-runtime"
TRUE = ["true"]
Contender = Callable[[], float]
"""Runs once, and gives the milliseconds."""


def clocked(work: Callable[[], object]) -> float:
    """Give the milliseconds that something takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def plainly(argv: list[str]) -> None:
    """Run a command without any sandbox."""
    subprocess.run(argv, check=True, capture_output=True)


def bare(profile: Profile) -> float:
    """Start by hand exactly what ours would start, and count nothing but that."""
    with (
        lease.lease(profile) as held,
        sandbox.prepare(TRUE, profile, guarded=held.guarded) as prepared,
    ):
        options: dict[str, Any] = {"env": prepared.env, "pass_fds": prepared.pass_fds}
        return clocked(lambda: subprocess.run(prepared.argv, check=True, capture_output=True, **options))


def peers(installed: Path | None, stack: ExitStack) -> dict[str, Contender]:
    """Start the peer as a library and as a command. Unless it is installed already, npm fetches it."""
    node, npm = (shutil.which(name) for name in ("node", "npm"))
    if node is None or npm is None:
        raise RuntimeError("node or npm is not there")
    place = Path(stack.enter_context(TemporaryDirectory()))  # not on /dev/shm, of which it makes its own
    work = place / "workspace"
    work.mkdir()
    if installed is None:
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--prefix", str(place), PEER],
            check=True,
            capture_output=True,
            timeout=300,
        )
    else:
        (place / "node_modules").symlink_to(installed / "node_modules")
    settings = json.dumps(
        {
            "network": {"allowedDomains": [], "deniedDomains": []},
            "filesystem": {"denyRead": [], "allowWrite": [str(work)], "denyWrite": []},
        }
    )
    (place / "settings.json").write_text(settings)
    shutil.copy(HERE / "srt.mjs", place)
    library = subprocess.Popen(
        [node, str(place / "srt.mjs"), settings],
        cwd=work,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stack.callback(_ended, library)
    if _said(library) != "ready\n":
        raise RuntimeError(f"it does not start: {_last_line(library)}")
    command = [node, str(place / "node_modules" / PEER / "dist/cli.js")]
    command += ["--settings", str(place / "settings.json"), "-c", "true"]
    run = partial(subprocess.run, command, cwd=work, check=True, capture_output=True)
    return {"srt, library": partial(_asked, library), "srt, command line": partial(clocked, run)}


def _asked(library: "subprocess.Popen[str]") -> float:
    assert library.stdin is not None
    library.stdin.write("\n")
    library.stdin.flush()
    told = json.loads(_said(library))
    if told["code"] != 0:
        raise SystemExit(f"the peer failed: {told}")
    return float(told["took"])


def _said(library: "subprocess.Popen[str]") -> str:
    assert library.stdout is not None
    return library.stdout.readline()


def _last_line(library: "subprocess.Popen[str]") -> str:
    assert library.stderr is not None
    return next((line for line in library.stderr.read().splitlines() if "Error: " in line), "no reason given")


def _ended(library: "subprocess.Popen[str]") -> None:
    assert library.stdin is not None
    with suppress(OSError), library:
        library.stdin.close()


def bare_container(folder: Path, profile: Profile) -> Callable[[], None]:
    """Give `runsc run` with a bundle that shows as much as ours, without any wall around it."""
    bundle, root, state = (folder / name for name in ("bundle", "root", "state"))
    for place in (bundle, root, state):
        place.mkdir()
    bound = []
    for mount in mounts(profile, ()):
        target = root / mount.target.lstrip("/")
        if mount.target in SYSTEM and os.path.islink(mount.target):
            target.symlink_to(os.readlink(mount.target))
        elif os.path.isdir(mount.target):
            target.mkdir(parents=True, exist_ok=True)
            bound.append(_mount(mount.target, "bind", mount.target, "rbind", "ro"))
    bound.append(_mount("/proc", "proc", "proc"))
    bound += [_mount(place, "tmpfs", "tmpfs") for place in ("/dev", "/tmp", "/run")]
    config = {
        "ociVersion": "1.0.2",
        "process": {"args": TRUE, "cwd": "/", "env": ["PATH=/usr/bin:/bin"], "user": {"uid": 0, "gid": 0}},
        "root": {"path": str(root), "readonly": True},
        "mounts": bound,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]},
    }
    (bundle / "config.json").write_text(json.dumps(config))
    words = [runsc(), "--root", str(state), "--network=none", f"--platform={platform()}", "--ignore-cgroups"]
    words += [] if os.geteuid() == 0 else ["--rootless"]
    words += ["run", "--bundle", str(bundle)]
    names = iter(range(1 << 20))

    def run() -> None:
        subprocess.run([*words, f"box{next(names)}"], check=True, capture_output=True)

    return run


def _mount(target: str, kind: str, source: str, *options: str) -> dict[str, object]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def booted(profile: Profile) -> float:
    """Boot our own image with our own words, without a sandbox around QEMU, and run one command."""
    built = image()
    host, guest = socketpair()
    with host, guest:
        words = qemu.command(built, profile, qemu.Ports(guest.fileno()), processor(built)[0])
        asked = {"argv": TRUE, "env": {"PATH": "/usr/bin:/bin"}, "cwd": "/"}
        began = time.perf_counter()
        with subprocess.Popen(words, pass_fds=[guest.fileno()], stdout=subprocess.DEVNULL) as process:
            try:
                host.sendall(spell(CONFIGURE, 0, configuration(profile, None)))
                kinds = _told(host)
                _await(kinds, READY)
                host.sendall(spell(START, 1, json.dumps(asked).encode()))
                _await(kinds, EXITED)
            finally:
                process.kill()
    return (time.perf_counter() - began) * 1e3


def _told(host: socket) -> Iterator[int]:
    """Give the kinds of what a guest says."""
    frames = Frames()
    while data := host.recv(1 << 16):
        yield from (frame.kind for frame in frames.feed(data))


def _await(kinds: Iterator[int], wanted: int) -> None:
    if wanted not in kinds:
        raise SystemExit("the bare machine ended by itself")
