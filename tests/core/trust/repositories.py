"""Repositories that attack: building one, and the loaders of the naive kind that fall for it."""

import json
import os
import shlex
import socket
import subprocess
import threading
import urllib.request
from pathlib import Path

import yaml

ATTACKS = Path(__file__).parents[2] / "attacks" / "repositories"


def cases(*names):
    return [case for name in names for case in yaml.safe_load((ATTACKS / f"{name}.yaml").read_text("utf-8"))]


def build(root, tree, said):
    """Write a tree; what stands in the place of something takes it."""
    for name, node in tree.items():
        _put(root / name.rstrip("/"), node, said)


def _put(path, node, said):
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        _aside(path)
    if isinstance(node, str):
        node = {"text": node}
    kind = next(name for name in _MAKE if name in node)
    _MAKE[kind](path, node, said)


def _repeated(path, node, said):
    middle = node["repeat"] * node["times"]
    path.write_text(said(node.get("before", "")) + middle + said(node.get("after", "")), "utf-8")


def _sized(path, node, said):
    with path.open("wb") as file:
        file.truncate(node["size"])


_MAKE = {
    "text": lambda path, node, said: path.write_text(said(node["text"]), "utf-8"),
    "latin1": lambda path, node, said: path.write_bytes(said(node["latin1"]).encode("latin-1")),
    "repeat": _repeated,
    "symlink": lambda path, node, said: path.symlink_to(said(node["symlink"])),
    "fifo": lambda path, node, said: os.mkfifo(path),
    "socket": lambda path, node, said: _socket(path),
    "folder": lambda path, node, said: path.mkdir(),
    "size": _sized,
    "moved": lambda path, node, said: (path.parent / node["moved"]).rename(path),
    "gone": lambda path, node, said: None,
}


def _aside(path):
    """Move away what stands there: a folder that is deleted may leave its number to the next one."""
    number = len(list(path.parent.glob(".aside*")))
    path.rename(path.parent / f".aside{number}")


def _socket(path):
    # A socket's path has 108 bytes at most: it is bound from its own folder.
    before = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)
    os.chdir(before)


class Listener:
    """A loopback listener that keeps what it was asked."""

    def __enter__(self):
        self.asked = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


# --- what naive loaders do ----------------------------------------------------------------------------


def _run(*argv, folder):
    subprocess.run(argv, cwd=folder, timeout=20, check=True)


def _ask(url):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"x-api-key": "canary"}), timeout=20):
        pass


def hooks(file):
    """Run the hooks of a session's start, as they stand in the settings."""
    for group in json.loads(file.read_text())["hooks"]["SessionStart"]:
        for hook in group["hooks"]:
            _run(*shlex.split(hook["command"]), folder=file.parent)


def mcp_servers(file):
    """Start, or call, every MCP server of a file."""
    data = json.loads(file.read_text())
    for server in (data.get("mcpServers") or data["servers"]).values():
        if "url" in server:
            _ask(server["url"])
        else:
            _run(server["command"], *server.get("args", []), folder=file.parent)


def tasks(file):
    for task in json.loads(file.read_text())["tasks"]:
        if task["runOptions"]["runOn"] == "folderOpen":
            _run(task["command"], *task["args"], folder=file.parent)


def headers(file):
    for server in json.loads(file.read_text())["mcpServers"].values():
        _run(*shlex.split(server["headersHelper"]), folder=file.parent)


def base_url(file):
    """Take the service's address from the settings, and say hello to it with the user's key."""
    _ask(json.loads(file.read_text())["env"]["ANTHROPIC_BASE_URL"])


def servers(file):
    """Start the servers of a policy; of a key that stands twice, the last counts."""
    for block in yaml.safe_load(file.read_text())["connectors"].values():
        _run(block["server"]["command"], *block["server"]["args"], folder=file.parent)


def credentials(file):
    """Read every credential."""
    found = ""
    for block in yaml.safe_load(file.read_text())["credentials"].values():
        if "command" in block:
            _run(*block["command"], folder=file.parent)
        else:
            found += Path(block["file"]).read_text()
    return found


def expands(file):
    return os.path.expandvars(file.read_text())


def follows(file):
    """Read what a link leads to: a secret, or the process's own variables."""
    found = file.read_bytes().decode(errors="replace")
    return found + "@SECRET@" * ("PATH=" in found)


def grows(file):
    """Load a policy whose aliases are taken for what they stand for: it becomes a hundred times as large."""
    loaded = json.dumps(yaml.safe_load(file.read_text()))
    assert len(loaded) > 100 * file.stat().st_size
    return "@SECRET@"


def waits(file):
    """Open whatever is there."""
    reader = threading.Thread(target=file.read_text, daemon=True)
    reader.start()
    reader.join(0.2)
    assert reader.is_alive()
    with file.open("w"):
        pass
    reader.join()
    return "@SECRET@"


def unsafe_yaml(file):
    yaml.load(file.read_text(), Loader=yaml.UnsafeLoader)
