"""An issuer that publishes its keys on this machine, and servers as processes of their own."""

import json
import re
import subprocess
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.adapters.mcp.http_rig import AUDIENCE, ISSUER, OTHER_RSA_KEY, keys, public


class _Published(BaseHTTPRequestHandler):
    """The issuer's keys, and an attacker's own."""

    def do_GET(self) -> None:
        other = {"keys": [public(OTHER_RSA_KEY, "evil", "RS256")]}
        body = json.dumps(other if self.path == "/evil" else keys()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def publishing() -> Generator[str]:
    """Publish the keys for a while, and give where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Published)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def asking(keys_at: str, **other: Any) -> dict[str, Any]:
    """Give the `auth` block of a policy that asks for this issuer's tokens."""
    return {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks": f"{keys_at}/keys",
        "private": True,
        "required": ["mcp"],
        **other,
    }


@contextmanager
def process(argv: list[str], stream: str, folder: Path) -> Generator[tuple[int, Any]]:
    """Run a server until we are done, and give the port that it says it listens on."""
    with (folder / "stderr").open("w") as stderr, ExitStack() as stack:
        pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": stderr, stream: subprocess.PIPE}
        running = stack.enter_context(subprocess.Popen(argv, text=True, **pipes))
        output, told = getattr(running, stream), ""
        try:
            while (found := re.match(r"(?:.*http://127.0.0.1:)?(\d+)", line := output.readline())) is None:
                told += line
                assert line, told
            threading.Thread(target=output.read, daemon=True).start()
            yield int(found[1]), running
        finally:
            running.terminate()
            running.wait(20)
