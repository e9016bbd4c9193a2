"""A workspace, a home with a canary in it, and listeners: what the attacks of this folder aim at."""

import http.server
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from blastwall.values import Profile

NOBODY = 65534


@pytest.fixture(autouse=True)
def _bubblewrap(request):
    if request.path.name != "test_mounts.py" and shutil.which("bwrap") is None and not os.environ.get("CI"):
        pytest.skip("bubblewrap is not installed")


@pytest.fixture
def workspace(tmp_path):
    """A folder that the user inside may write; its parents stay closed to everybody else."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture
def profile(workspace):
    return Profile("test", workspace=workspace, timeout_s=20, memory_mb=512)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of our own, with credentials that are worth nothing."""
    folder = tmp_path / "home"
    (folder / ".aws").mkdir(parents=True)
    (folder / ".aws" / "credentials").write_text("CANARY-OF-AWS")
    (folder / ".netrc").write_text("CANARY-OF-NETRC")
    (folder / "notes.txt").write_text("nothing secret")
    for path in (tmp_path, folder, folder / ".aws"):
        path.chmod(0o755)  # so that only the sandbox stands before it
    monkeypatch.setenv("HOME", str(folder))
    return folder


@dataclass(frozen=True, slots=True)
class Listener:
    port: int
    received: list[bytes]


@pytest.fixture
def listener():
    """A web server on loopback that keeps what is posted to it."""
    received: list[bytes] = []

    class Keep(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keep) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Listener(server.server_address[1], received)
        server.shutdown()
        thread.join()


@pytest.fixture
def alive():
    """Gives the ids of processes whose command line holds a mark."""

    def find(mark):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    return find
