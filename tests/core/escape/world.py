"""What the attacks aim at: all of our own making, and all open to the user inside but for the sandbox."""

import contextlib
import ctypes
import os
import selectors
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

NOBODY = 65534
PYTHON = "/usr/bin/python3"
USER = NOBODY if os.geteuid() == 0 else os.geteuid()
GROUP = NOBODY if os.geteuid() == 0 else os.getegid()

SLEEPER = """
import ctypes, os, sys, time
word = ctypes.create_string_buffer(sys.argv[1].encode())
print(ctypes.addressof(word), flush=True)
time.sleep(300)
"""
"""A process of the same user, with a word in its memory."""

PROJECT = {
    ".git/HEAD": "ref: refs/heads/main\n",
    ".git/config": "[core]\n\tbare = false\n",
    ".git/config.worktree": "[core]\n",
    ".git/hooks/pre-commit.sample": "#!/bin/sh\n",
    ".git/modules/sub/HEAD": "ref: refs/heads/main\n",
    ".git/modules/sub/config": "[core]\n",
    ".git/modules/sub/hooks/update.sample": "#!/bin/sh\n",
    "sub/.git": "gitdir: ../.git/modules/sub\n",
    "a/b/c/d/e/.git/HEAD": "ref: refs/heads/main\n",
    "a/b/c/d/e/.git/config": "[core]\n",
    "a/b/c/d/e/.git/hooks/update.sample": "#!/bin/sh\n",
    "other/.GIT/HEAD": "ref: refs/heads/main\n",
    "other/.GIT/config": "[core]\n",
    "other/.GIT/hooks/update.sample": "#!/bin/sh\n",
    "other/.Claude/settings.json": "{}\n",
    ".claude/settings.json": "{}\n",
    ".claude/commands/deploy.md": "Deploy.\n",
    ".claude/agents/helper.md": "Help.\n",
    ".vscode/tasks.json": "{}\n",
    ".bashrc": "# mine\n",
    ".env": "TOKEN=none\n",
    ".gitattributes": "*.txt text\n",
    "Makefile": "all:\n",
    "package.json": "{}\n",
    "src/main.py": "print('hello')\n",
    "vault/secret": "",
}
"""A workspace as people have them. What is not here is what an attack may want to make."""

SOCKETS = {
    "docker": "docker.sock",
    "ssh_agent": "agent.1",
    "dbus": "bus",
    "x11": "X0",
    "gpg_agent": "S.gpg-agent",
}


class Receiver:
    """Listens on loopback, over TCP, UDP and IPv6, and keeps what comes."""

    def __init__(self) -> None:
        """Start to listen, in a thread."""
        self.received: list[bytes] = []
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._settled = threading.Event()
        self.port = self._listen(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1")
        self.udp = self._listen(socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1")
        self.port6 = self._listen(socket.AF_INET6, socket.SOCK_STREAM, "::1")
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _listen(self, family: socket.AddressFamily, kind: socket.SocketKind, host: str) -> int:
        listener = socket.socket(family, kind)
        listener.bind((host, 0))
        if kind is socket.SOCK_STREAM:
            listener.listen(64)
        self._selector.register(listener, selectors.EVENT_READ, kind)
        return int(listener.getsockname()[1])

    def _serve(self) -> None:
        while True:
            events = self._selector.select()
            for key, _ in events:
                assert isinstance(key.fileobj, socket.socket)
                if key.data is socket.SOCK_DGRAM:
                    self.received.append(key.fileobj.recv(65536))
                elif key.data is socket.SOCK_STREAM:
                    self._answer(key.fileobj)
            if any(key.data is None for key, _ in events):
                if self._woken.recv(1) == b"!":
                    return
                if len(events) == 1:
                    self._settled.set()
                else:
                    self._wake.send(b"?")

    def settle(self) -> None:
        """Wait until whatever has come is kept."""
        self._settled.clear()
        self._wake.send(b"?")
        assert self._settled.wait(30)

    def _answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(0.3)
            data = b""
            with contextlib.suppress(TimeoutError):
                while more := connection.recv(65536):
                    data += more
                    head, gap, body = data.partition(b"\r\n\r\n")
                    if gap and len(body) >= _length(head):
                        break
            self.received.append(data)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def close(self) -> None:
        """Stop, and close every socket."""
        self._wake.send(b"!")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._wake.close()
        self._selector.close()


class Upstream(Receiver):
    """The one host that is allowed: it answers, keeps its connections, and keeps what comes on them."""

    def _answer(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        data, answered = b"", False
        with connection, contextlib.suppress(OSError):
            connection.settimeout(0.3)
            try:
                while more := connection.recv(65536):
                    data += more
                    head, gap, body = data.partition(b"\r\n\r\n")
                    connection.settimeout(10 if gap and not answered else 0.3)  # a body may come slowly
                    if gap and not answered and len(body) >= _length(head):
                        answered = True
                        connection.sendall(self._response(head, body))
                        connection.settimeout(0.3)
            finally:
                self.received.append(data)

    def _response(self, head: bytes, body: bytes) -> bytes:
        target = head.split(b" ")[1] if head.count(b" ") > 1 else b""
        if target.endswith(b"/redirect"):
            where = b"http://redirected.test:%d/" % self.forbidden
            return b"HTTP/1.1 302 Found\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n"
        if target.endswith(b"/upgrade"):
            return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        echo = head + b"\n" + body
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(echo) + echo

    forbidden = 0
    """The port that nobody may reach."""


def _length(head: bytes) -> int:
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


class World:
    """One set of canaries. Use it as a context manager, then ask what has `changed`."""

    def __init__(self, receiver: Receiver, upstream: Upstream | None = None) -> None:
        """Nothing is made before the `with` block."""
        self._receiver = receiver
        self._upstream = upstream
        self.proxy: tuple[str, int] | None = None
        self._stack = ExitStack()
        self.token = f"bw{uuid.uuid4().hex[:12]}"
        self.word = f"canary-{uuid.uuid4().hex}"

    def __enter__(self) -> "World":
        with ExitStack() as stack:
            self._make(stack)
            self._stack = stack.pop_all()
        self._before = self._look()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self, stack: ExitStack) -> None:
        # Short, for the paths of sockets, and below no closed folder, so that only the sandbox stands before it.
        self.top = Path(tempfile.mkdtemp(prefix="bwe-", dir="/tmp"))
        stack.callback(shutil.rmtree, self.top, ignore_errors=True)
        self.workspace, self.outside = self.top / "workspace", self.top / "outside"
        self.home, self.readable = self.top / "home", self.top / "readable"
        self._files()
        self._devices()
        self._sockets(stack)
        self._memory(stack)
        for path in (self.top, *self.top.rglob("*")):
            if not path.is_symlink():
                os.chown(path, USER, GROUP)
        self.top.chmod(0o755)
        self._setuid()
        self._sleeper(stack)
        folder = os.open(self.outside, os.O_RDONLY)  # leaks into every child that does not take care
        stack.callback(os.close, folder)
        ours, leaked = socket.socketpair()
        for each in (ours, leaked):
            stack.callback(each.close)
        for number in (folder, leaked.fileno()):
            os.set_inheritable(number, True)
        self._environment(stack)
        self._receiver.received.clear()
        if self._upstream is not None:
            self._upstream.received.clear()

    def _files(self) -> None:
        for folder in (self.workspace, self.outside, self.home, self.readable, self.workspace / "own"):
            folder.mkdir()
        texts = {self.workspace / name: text for name, text in PROJECT.items()}
        texts[self.outside / "canary"] = texts[self.readable / "notes"] = self.word
        for name in (".aws/credentials", ".ssh/id_rsa", ".netrc", ".bashrc", ".config/gh/hosts.yml", "notes"):
            texts[self.home / name] = self.word
        texts[self.workspace / "vault/secret"] = self.word
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.outside / "canary").chmod(0o666)
        self.outside.chmod(0o777)
        # A project whose hooks are a symlink into the project itself, as some managers of hooks make them.
        linked = self.workspace / "linked"
        (linked / "own-hooks").mkdir(parents=True)
        (linked / "own-hooks" / "update.sample").write_text("#!/bin/sh\n")

    def _devices(self) -> None:
        """Leave a disk's device node where it can be read, if we may: that a file is shown is not to show the disk."""
        self.disk = self.readable / "disk"
        with contextlib.suppress(OSError):
            os.mknod(self.disk, stat.S_IFBLK | 0o666, os.makedev(7, 0))
            self.disk.chmod(0o666)

    def _setuid(self) -> None:
        """Leave a program that makes an ordinary user root, if we may."""
        self.become = self.readable / "become"
        shutil.copy("/usr/bin/id", self.become)
        if os.geteuid() == 0:
            os.chown(self.become, 0, 0)
        self.become.chmod(0o4755)

    def _sockets(self, stack: ExitStack) -> None:
        places = [self.outside / name for name in SOCKETS.values()]
        for path in (*places, self.readable / "socket", self.workspace / "socket"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            path.chmod(0o777)
            listener.listen()
        datagram = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagram.bind(str(self.workspace / "datagram"))
        (self.workspace / "datagram").chmod(0o777)
        for name in (self.token, f"/tmp/.X11-unix/{self.token}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(f"\0{name}")
            listener.listen()

    def _memory(self, stack: ExitStack) -> None:
        """Leave the word in shared memory: by file, by System V, and in both kinds of message queue."""
        file = Path("/dev/shm", self.token)
        file.write_text(self.word)
        file.chmod(0o666)
        stack.callback(file.unlink, missing_ok=True)
        os.chown(file, USER, GROUP)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmat.restype = ctypes.c_void_p
        self.shm_key = 0x42570000 | int(self.token[-4:], 16)
        shm = libc.shmget(self.shm_key, 4096, 0o1666)
        address = libc.shmat(shm, None, 0)
        ctypes.memmove(address, self.word.encode(), len(self.word))
        libc.shmdt(ctypes.c_void_p(address))
        stack.callback(libc.shmctl, shm, 0, None)
        queue = libc.msgget(self.shm_key, 0o1666)
        stack.callback(libc.msgctl, queue, 0, None)
        posix = libc.mq_open(f"/{self.token}".encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
        if posix >= 0:
            stack.callback(libc.mq_unlink, f"/{self.token}".encode())
            os.fchmod(posix, 0o666)
            os.close(posix)

    def _sleeper(self, stack: ExitStack) -> None:
        user: dict[str, Any] = {"user": USER, "group": GROUP, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {"BLASTWALL_SLEEPER": self.word}
        self.sleeper = subprocess.Popen(
            [PYTHON, "-I", "-c", SLEEPER, self.word, self.token], stdout=subprocess.PIPE, env=environment,
            start_new_session=True, **user,
        )  # fmt: skip
        stack.callback(self._end)
        assert self.sleeper.stdout is not None
        self.address = int(self.sleeper.stdout.readline())

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.sleeper.send_signal(signal.SIGKILL)
        self.sleeper.communicate()

    def _environment(self, stack: ExitStack) -> None:
        cache = os.environ.get("XDG_CACHE_HOME") or str(
            Path.home() / ".cache"
        )  # a machine's image is made once
        ours = {
            "XDG_CACHE_HOME": cache, "BLASTWALL_TEST": self.word, "HOME": str(self.home), "SSH_AUTH_SOCK": str(self.outside / "agent.1"),
            "DOCKER_HOST": f"unix://{self.outside}/docker.sock", "DISPLAY": ":0", "AWS_SECRET_ACCESS_KEY": self.word,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.outside}/bus", "BASH_ENV": str(self.outside / "canary"),
            "GIT_SSH_COMMAND": self.word, "NODE_OPTIONS": "--no-warnings", "BUN_OPTIONS": "--smol",
            "PYTHONSTARTUP": str(self.outside / "canary"), "LD_AUDIT": "/nonexistent-blastwall.so",
        }  # fmt: skip
        before = {name: os.environ.get(name) for name in ours}
        os.environ |= ours

        def restore() -> None:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

        stack.callback(restore)

    @property
    def aims(self) -> dict[str, Any]:
        """What attacks are told."""
        gate: dict[str, Any] = {"allowed": self._upstream.port} if self._upstream is not None else {}
        gate |= {"proxy": self.proxy} if self.proxy is not None else {}
        return gate | {
            "token": self.token, "word": self.word, "canary": str(self.outside / "canary"),
            "outside": str(self.outside), "home": str(self.home), "readable": str(self.readable),
            "workspace": str(self.workspace), "disk": str(self.disk), "become": str(self.become),
            "sockets": {kind: str(self.outside / name) for kind, name in SOCKETS.items()},
            "abstract": self.token, "abstract_x11": f"/tmp/.X11-unix/{self.token}", "port": self._receiver.port,
            "udp": self._receiver.udp, "port6": self._receiver.port6, "pid": self.sleeper.pid,
            "address": self.address, "shm_key": self.shm_key, "hostname": socket.gethostname(),
            "release": os.uname().release, "passwd": Path("/etc/passwd").read_text(),
            "handle": _handle(self.outside / "canary"), "uid": USER,
        }  # fmt: skip

    def changed(self) -> list[str]:
        """Say what is not as it was, or has arrived where it should not."""
        self.settle()
        after = self._look()
        found = [
            name for name in sorted({*self._before, *after}) if self._before.get(name) != after.get(name)
        ]
        arrived = list(self._receiver.received)
        if self._upstream is not None:
            arrived += [data for data in self._upstream.received if b"forbidden.test" in data]
        return found + [f"received {data[:80]!r}" for data in arrived]

    def settle(self) -> None:
        """Wait until the listeners have kept whatever came."""
        for receiver in (self._receiver, self._upstream):
            if receiver is not None:
                receiver.settle()

    def _look(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for path in self._paths():
            with contextlib.suppress(FileNotFoundError):
                found[str(path)] = _seen(path)
        for path in (*(Path(folder, self.token) for folder in ("/usr/bin", "/etc", "/tmp", "/run")),):
            found[str(path)] = path.exists()
        for path in (
            Path("/dev/shm", self.token),
            Path("/etc/passwd"),
            Path("/proc/sys/kernel/core_pattern"),
        ):
            found[str(path)] = path.read_bytes()
        found["sleeper"] = (self.sleeper.poll(), *_process(self.sleeper.pid, self.address, len(self.word)))
        return found

    def _paths(self) -> Iterator[Path]:
        own = self.workspace / "own"
        for top in (self.outside, self.home, self.readable, self.workspace):
            yield from (path for path in (top, *top.rglob("*")) if own not in (path, *path.parents))


def _seen(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return ("symlink", os.readlink(path))
    common = (status.st_mode, status.st_uid, status.st_gid)
    if stat.S_ISREG(status.st_mode):
        attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        return (*common, status.st_nlink, status.st_mtime_ns, path.read_bytes(), attributes)
    return common


def _process(pid: int, address: int, length: int) -> tuple[object, ...]:
    """Look at a process: its memory, its priority, where it may run."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            word = memory.read(length)
        return word, os.getpriority(os.PRIO_PROCESS, pid), sorted(os.sched_getaffinity(pid))
    except OSError:
        return (None,)


class _Handle(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128))


def _handle(path: Path) -> list[Any]:
    """Give a file's handle, by which whoever has the privilege opens it without its path."""
    handle, mount = _Handle(128, 0), ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0):
        return []
    return [handle.kind, bytes(handle.bytes[: handle.size]).hex()]
