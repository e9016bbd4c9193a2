"""The handle of the gate: starts its process, hands it what a sandbox listens on, and hears its decisions."""

import contextlib
import importlib.util
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from blastwall.egress.credentials import read
from blastwall.egress.decide import Decision, Rules
from blastwall.errors import BackendError
from blastwall.values import Credential, Destination

PORT = 3128
"""Where programs inside find the gate, on 127.0.0.1."""

CA_FILE = "/run/blastwall/ca.pem"
"""Where the certificates to trust are inside."""

_START_S = 30.0
_END_S = 5.0
_LARGEST = 1 << 17
_BOOT = "import sys; sys.path += sys.argv[2:]; from blastwall.egress.process import main; main()"
_NEEDED = ("blastwall", "h11", "cryptography", "idna", "re2")
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_CA_VARIABLES = (
    "SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO"
    " CARGO_HTTP_CAINFO AWS_CA_BUNDLE DENO_CERT"
).split()
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

Record = Callable[[Decision], object]


class Gate:
    """The only way out of the sandboxes of one session and profile. Use it as a context manager.

    It fails closed: without its process, or without a record of a decision, nothing leaves.
    """

    def __init__(
        self,
        destinations: Sequence[Destination],
        credentials: Sequence[Credential],
        record: Record,
        *,
        roots: bytes | None = None,
        connections: int = 256,
        head_s: float = 20.0,
        idle_s: float = 300.0,
    ) -> None:
        """Prepare; the process starts when it is first needed.

        Args:
            destinations: The only places that can be reached. None: no place.
            credentials: Secrets that stay outside, and whose placeholders are inside.
            record: Called with each decision before it takes effect, on a thread of the gate. What it
                raises denies.
            roots: Certificates that hosts are checked against, in PEM; the host's own by default.
            connections: Most connections at a time; more have to wait.
            head_s: Seconds that a request or a handshake may take.
            idle_s: Seconds that a connection may rest.

        Raises:
            BackendError: when a destination or a credential can't be used.

        """
        rules = Rules(destinations, [host for one in credentials for host in one.hosts])
        _check(credentials)
        self._destinations, self._credentials, self._record = tuple(destinations), tuple(credentials), record
        self._roots = roots
        self._limits = {"connections": connections, "head_s": head_s, "idle_s": idle_s}
        self._placeholders = {
            one.name: f"blastwall-placeholder-{one.name}-{secrets.token_hex(16)}" for one in credentials
        }
        self._inspects = rules.inspects
        self._lock = threading.Lock()
        self._closed = False
        self._line: _Line | None = None

    @property
    def env(self) -> Mapping[str, str]:
        """What the environment inside must hold: the way to the gate, placeholders, whom to trust."""
        env = {"NO_PROXY": "", "no_proxy": "", "NODE_USE_ENV_PROXY": "1"}
        for variable in _PROXY_VARIABLES:
            env[variable] = env[variable.lower()] = f"http://127.0.0.1:{PORT}"
        for one in self._credentials:
            if one.variable:
                env[one.variable] = self._placeholders[one.name]
        if self._inspects:
            env |= dict.fromkeys(_CA_VARIABLES, CA_FILE)
        return MappingProxyType(env)

    @property
    def files(self) -> Mapping[str, bytes]:
        """What files there must be inside. Starts the process.

        Raises:
            BackendError: when it can't be started.

        """
        authority = self._started().authority
        if not authority:
            return MappingProxyType({})
        return MappingProxyType({CA_FILE: self._trusted().encode() + b"\n" + authority.encode()})

    def placeholder(self, name: str) -> str:
        """Give what stands inside for the credential of this name."""
        return self._placeholders[name]

    def listener(self) -> int:
        """Give the descriptor that one program inside is to send one listening socket over (SCM_RIGHTS).

        The socket listens on loopback, in the network namespace of the sandbox. It is served as long as the
        process lives that sent it. Close the descriptor after the program has started.

        Raises:
            BackendError: when the gate is closed or its process is gone: then nothing can leave.

        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        return self._order("listener", ours, theirs)

    def tunnel(self) -> int:
        """Give a connected stream socket that carries the frames of `egress.mux`; close it after the start.

        Raises:
            BackendError: when the gate is closed or its process is gone: then nothing can leave.

        """
        return self._order("tunnel", *socket.socketpair())

    def close(self) -> None:
        """End the process and with it every connection; harmless when done twice."""
        with self._lock:
            self._closed = True
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def __enter__(self) -> Self:
        """Start the process."""
        self._started()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _order(self, what: str, ours: socket.socket, theirs: socket.socket) -> int:
        with ours, theirs:
            self._started().send({"serve": what}, ours)
            return theirs.detach()

    def _started(self) -> "_Line":
        with self._lock:
            if self._closed:
                raise BackendError("the egress gate is closed: nothing can leave")
            if self._line is None:
                self._line = _Line(self._config(), self._record)
            return self._line

    def _config(self) -> dict[str, Any]:
        held = [
            {
                "name": one.name,
                "placeholder": self._placeholders[one.name],
                "value": read(one).value,
                "hosts": one.hosts,
            }
            for one in self._credentials
        ]
        return {
            "parent": os.getpid(),
            "destinations": [asdict(destination) for destination in self._destinations],
            "held": held,
            "roots": self._trusted(),
            "limits": self._limits,
        }

    def _trusted(self) -> str:
        if self._roots is not None:
            return self._roots.decode("ascii")
        named = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *_BUNDLES)
        for file in named:
            with contextlib.suppress(OSError):
                if file:
                    return _certificates(Path(file).read_text(encoding="utf-8", errors="replace"))
        raise BackendError(
            "no bundle of root certificates was found: install ca-certificates, or set SSL_CERT_FILE"
        )


class _Line:
    """The host's end of the line to a running process."""

    def __init__(self, config: dict[str, Any], record: Record) -> None:
        self._pid = os.getpid()
        self._record = record
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sending = threading.Lock()
        try:
            with theirs:
                self._process = _spawned(theirs, config)
        except BaseException:
            self._socket.close()
            raise
        try:
            self.authority = self._ready()
        except BaseException:
            self._end()
            raise
        self._thread = threading.Thread(target=self._hear, name="blastwall-egress", daemon=True)
        self._thread.start()

    def send(self, message: dict[str, Any], sock: socket.socket | None = None) -> None:
        """Send one message."""
        if os.getpid() != self._pid:
            raise BackendError("an egress gate can't be used in a forked process: make a new one there")
        try:
            with self._sending:
                descriptors = [] if sock is None else [sock.fileno()]
                socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)
        except OSError:
            raise BackendError(
                "the egress gate's process is gone: nothing can leave; start a new session"
            ) from None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._end()

    def _end(self) -> None:
        self._socket.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ready(self) -> str:
        self._socket.settimeout(_START_S)
        try:
            message = json.loads(self._socket.recv(_LARGEST) or b"{}")
        except (OSError, ValueError):
            message = {}
        self._socket.settimeout(None)
        if "ready" not in message:
            raise BackendError(
                f"the egress gate could not be started: {message.get('failed', 'its process ended')};"
                " is blastwall installed whole (h11, cryptography)?"
            )
        return str(message["ready"])

    def _hear(self) -> None:
        """Take each decision to its record, and say whether it arrived there."""
        with contextlib.suppress(OSError, BackendError):
            while data := self._socket.recv(_LARGEST):
                message = json.loads(data)
                number = message.pop("decision")
                self.send({"ack": number, "recorded": self._recorded(Decision(**message))})

    def _recorded(self, decision: Decision) -> bool:
        try:
            self._record(decision)
        except Exception:  # noqa: BLE001  # whatever it was: what is not recorded does not happen
            return False
        return True


def _spawned(line: socket.socket, config: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Start the process. Its secrets go through a pipe: neither arguments nor environment hold any."""
    folders = dict.fromkeys(_folder(name) for name in _NEEDED)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT, str(line.fileno()), *folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[line.fileno()],
            env={"LANG": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise BackendError(f"the egress gate could not be started: {error.strerror}") from None
    assert process.stdin is not None  # noqa: S101  # a pipe, as started
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # it says itself why it ended
        pipe.write(json.dumps(config).encode())
    return process


def _folder(name: str) -> str:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        raise BackendError(f"the egress gate needs {name}: install blastwall whole")
    return str(Path(spec.origin).resolve().parents[1])


def _certificates(text: str) -> str:
    """Keep the certificates of a bundle, without the notes around them."""
    end = "-----END CERTIFICATE-----\n"
    parts = ("-----BEGIN CERTIFICATE-----" + part for part in text.split("-----BEGIN CERTIFICATE-----")[1:])
    return "".join(part.partition(end)[0] + end for part in parts)


def _check(credentials: Sequence[Credential]) -> None:
    for one in credentials:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", one.name):
            raise BackendError(f"{one.name!r} is no name for a credential: letters, digits, . - and _ only")
        if not one.hosts:
            raise BackendError(f"the credential {one.name!r} is bound to no host, and so useless")
    if len({one.name for one in credentials}) != len(credentials):
        raise BackendError("two credentials have the same name")
