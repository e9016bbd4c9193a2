"""What a malicious client tries (`tests/attacks/mcp_clients`): it works elsewhere, and not here."""

import json
import secrets
import socket
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.adapters.mcp.http_rig import (
    OTHER_RSA_KEY,
    RSA_KEY,
    forged,
    public,
    token,
    with_hmac,
)
from tests.adapters.mcp.issuing import asking, process, publishing
from tests.adapters.mcp.rig import UPSTREAMS, behind, policy, proxy_argv

CASES = [
    case
    for file in sorted((Path(__file__).parents[2] / "attacks" / "mcp_clients").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text())
]
PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
VERSION = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "evil", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}, "sampling": {}, "roots": {}},
}
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


# --- Who they say they are ----------------------------------------------------------------------------


def tokens(keys_at: str) -> dict[str, str]:
    now = int(time.time())
    own = public(OTHER_RSA_KEY, "evil", "RS256")
    return {
        "ann": token(scope="mcp ledger"),
        "bob": token(sub="bob", scope="mcp ledger vault"),
        "eve": token(sub="eve", scope="mcp ledger"),
        "mallory": token(sub="mallory", scope="mcp ledger"),
        "nobody": "",
        "expired": token(scope="mcp ledger", exp=now - 3600),
        "other-audience": token(scope="mcp ledger", aud="https://other.example/mcp"),
        "no-audience": token(scope="mcp ledger", aud=None),
        "other-issuer": token(scope="mcp ledger", iss="https://evil.example"),
        "none": forged({"alg": "none"}, scope="mcp ledger"),
        "hmac": forged({"alg": "HS256", "kid": "rsa"}, with_hmac(PEM), scope="mcp ledger"),
        "path": forged({"alg": "HS256", "kid": "../../dev/null"}, with_hmac(b""), scope="mcp ledger"),
        "jku": token(OTHER_RSA_KEY, "evil", head={"jku": f"{keys_at}/evil"}, scope="mcp ledger"),
        "jwk": token(OTHER_RSA_KEY, "evil", head={"jwk": own}, scope="mcp ledger"),
        "other-key": token(key=OTHER_RSA_KEY, scope="mcp ledger"),
        "no-scope": token(scope="mail"),
    }


# --- Where they try it --------------------------------------------------------------------------------


class Target:
    """A server under attack, with the journals of what its upstreams did."""

    def __init__(self, port: int, folder: Path, tokens: dict[str, str]) -> None:
        self.port, self.tokens, self._journals = port, tokens, folder
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=20)

    def journal(self) -> list[dict[str, Any]]:
        files = self._journals.glob("*.journal")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def published() -> Generator[str]:
    with publishing() as where:
        yield where


@pytest.fixture(scope="module")
def targets(published: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, Target]]:
    with ExitStack() as stack:
        found = {}
        for name in ("plain", "blastwall"):
            folder = tmp_path_factory.mktemp(name)
            argv = (_plain if name == "plain" else _blastwall)(folder, published)
            port, _ = stack.enter_context(process(argv, "stdout" if name == "plain" else "stderr", folder))
            found[name] = Target(port, folder, tokens(published))
            stack.callback(found[name].client.close)
        yield found


def _plain(folder: Path, _: str) -> list[str]:
    journal = [sys.executable, str(UPSTREAMS / "journal.py")]
    connectors = {name: [*journal, str(folder / f"{name}.journal")] for name in ("ledger", "vault")}
    (folder / "plain.json").write_text(json.dumps({"connectors": connectors, "pem": PEM.decode()}))
    return [sys.executable, str(Path(__file__).with_name("plain_proxy.py")), str(folder / "plain.json")]


def _blastwall(folder: Path, published: str) -> list[str]:
    little = {"amount": {"maximum": 10}}
    ledger = [
        {"id": "note", "effect": "allow", "tools": ["note"]},
        {"id": "pay", "effect": "allow", "tools": ["pay"], "args": little},
    ]
    vault = [{"id": "note", "effect": "allow", "tools": ["note"]}]
    auth = asking(published, scopes={"ledger": {"ledger": ["*"]}, "vault": {"vault": ["*"]}})
    file = policy(
        folder,
        {
            "ledger": behind("journal.py", folder / "ledger.journal", rules=ledger),
            "vault": behind("journal.py", folder / "vault.journal", rules=vault),
        },
        proxy={"http": {"max_sessions": 200, "auth": auth}},
    )
    return [*proxy_argv(file), "--http", "127.0.0.1:0"]


# --- What they do -------------------------------------------------------------------------------------


class Play:
    """One case against one target, move by move."""

    def __init__(self, target: Target, case: dict[str, Any], era: str) -> None:
        self.target, self.case, self.era = target, case, era
        self.nonce = secrets.token_hex(8)
        self.sessions: dict[str, str] = {}
        self.status = 0
        self.answer: Any = None
        self.challenge = ""
        self._held: list[socket.socket] = []
        self._opened: list[tuple[str, str | None]] = []
        self._id = 0

    def run(self) -> None:
        for move in self._filled(self.case["moves"]):
            kind = next(iter(move.keys() & {"call", "message", "open", "end", "get", "post", "raw"}))
            getattr(self, f"_{kind}")(move)

    def done(self) -> None:
        """Leave nothing behind that the next one would find."""
        for held in self._held:
            held.close()
        for session, who in filter(None, self._opened):
            headers = self._headers({}, {"as": who}, session)
            self.target.client.delete("/mcp", headers=headers)

    def reached(self) -> bool:
        """Say whether the client got what it wanted."""
        match self.case["goal"]:
            case {"journal": tool}:
                entries = self.target.journal()
                return any(e["tool"] == tool and self.nonce in json.dumps(e["arguments"]) for e in entries)
            case {"result": True}:
                return "result" in (self.answer or {}) and not self.answer["result"].get("isError")
            case {"status": status}:
                return bool(self.status == status)
            case {"alive": False}:
                return not self._honest()
            case other:
                raise AssertionError(other)

    def _honest(self) -> bool:
        """Say whether somebody else is still served, and soon."""
        other = Play(self.target, {"as": "bob", "moves": []}, "modern")
        other._call({"call": {"tool": "ledger__note", "arguments": {"text": "hello"}}})
        return other.status == 200 and "result" in other.answer

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._filled(key): self._filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner) for inner in value]
        if not isinstance(value, str):
            return value
        envelope = f'"_meta":{json.dumps(ENVELOPE)}'
        for name, real in {
            "NONCE": self.nonce,
            "PORT": str(self.target.port),
            "ANN": self.target.tokens["ann"],
            "ENVELOPE": envelope,
        }.items():
            value = value.replace(name, real)
        return value

    def _call(self, move: dict[str, Any]) -> None:
        given = move["call"]
        arguments = dict(given.get("arguments", {}))
        if "pad" in given:
            arguments["pad"] = "x" * given["pad"]
        if "deep" in given:
            arguments["deep"] = "DEEP"
        message = {"method": "tools/call", "params": {"name": given["tool"], "arguments": arguments}}
        self._message({**move, **given, "message": message})

    def _message(self, move: dict[str, Any]) -> None:
        message = move["message"]
        params = dict(message.get("params", {}))
        headers: dict[str, str] = {}
        inside = move.get("in")
        if self.era == "modern":
            params["_meta"] = ENVELOPE | move.get("meta", {})
            headers = {"Mcp-Protocol-Version": VERSION, "Mcp-Method": message["method"]}
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        elif inside is None:
            self._open({**move, "open": "own"})
            inside = "own"
        self._id += 1
        long = move.get("id", {}).get("long")
        sent = {
            "jsonrpc": "2.0",
            "id": "x" * long if long else self._id,
            "method": message["method"],
            "params": params,
        }
        if message["method"].startswith("notifications/"):
            del sent["id"]
        deep = move.get("deep", 0)
        body = json.dumps(sent).replace('"DEEP"', "[" * deep + "]" * deep)
        for _ in range(move.get("times", 1)):
            self._send("POST", move, body, headers, inside)
        for capabilities in move.get("capabilities", ()):
            sent["params"]["_meta"] = ENVELOPE | {"io.modelcontextprotocol/clientCapabilities": capabilities}
            self._send("POST", move, json.dumps(sent), headers, inside)

    def _open(self, move: dict[str, Any]) -> None:
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "evil", "version": "1"},
        }
        body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        for _ in range(move.get("times", 1)):
            given = self._send("POST", {"as": move.get("as")}, body, {}, move.get("with"))
            self.sessions[move["open"]] = session = given.headers.get("mcp-session-id", "")
            self._opened.append((session, move.get("as")))

    def _end(self, move: dict[str, Any]) -> None:
        self._send("DELETE", move, "", {}, move["end"])

    def _get(self, move: dict[str, Any]) -> None:
        headers = self._headers({}, move, move["get"])
        with self.target.client.stream("GET", "/mcp", headers=headers) as given:
            self.status = given.status_code

    def _post(self, move: dict[str, Any]) -> None:
        headers = {"Mcp-Protocol-Version": VERSION} if self.era == "modern" else {}
        self._send("POST", move, move["post"], headers, move.get("in"))

    def _raw(self, move: dict[str, Any]) -> None:
        for _ in range(move.get("times", 1)):
            connection = socket.create_connection(("127.0.0.1", self.target.port), timeout=10)
            self._held.append(connection)
            connection.sendall(move["raw"].encode())
        if not move.get("hold"):
            first = self._held[-1].makefile("rb").readline().split()
            self.status = int(first[1]) if len(first) > 1 else 0

    def _headers(self, own: dict[str, str], move: dict[str, Any], inside: str | None) -> dict[str, str]:
        bearer = self.target.tokens[move.get("as") or self.case.get("as", "ann")]
        headers = ACCEPT | ({"Authorization": f"Bearer {bearer}"} if bearer else {}) | own
        if inside:
            headers["Mcp-Session-Id"] = self.sessions.get(inside, inside)
        return {**headers, **move.get("headers", {})}

    def _send(
        self, method: str, move: dict[str, Any], body: str, own: dict[str, str], inside: str | None
    ) -> httpx.Response:
        headers = self._headers(own, move, inside)
        pairs = [*headers.items(), *move.get("twice", {}).items()]
        answer = self.target.client.request(method, move.get("path", "/mcp"), content=body, headers=pairs)
        self.status, self.challenge = answer.status_code, answer.headers.get("www-authenticate", "")
        self.answer = _read(answer)
        return answer


def _read(answer: httpx.Response) -> Any:
    text = answer.text
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        text = next((line[6:] for line in text.splitlines() if line.startswith("data: {")), "")
    try:
        return json.loads(text)
    except ValueError:
        return None


EACH = [
    pytest.param(case, era, id=f"{case['id']}-{era}")
    for case in CASES
    for era in ([case["era"]] if "era" in case else ["modern", "legacy"])
]


@pytest.mark.parametrize(("case", "era"), EACH)
def test_the_attack_works_without_blastwall_and_not_with_it(case, era, targets):
    plain = case.get("plain", "works")
    if plain in ("works", "safe"):
        assert _played(targets["plain"], case, era)[0] is (plain == "works")
    reached, play = _played(targets["blastwall"], case, era)
    assert not reached, play.answer
    _check(play, case.get("refused", {}))
    assert play._honest(), "nobody else is served any more"


def _played(target, case, era):
    play = Play(target, case, era)
    try:
        play.run()
        return play.reached(), play
    finally:
        play.done()


def _check(play, refused):
    statuses = refused.get("status", play.status)
    assert play.status in (statuses if isinstance(statuses, list) else [statuses]), play.answer
    if "code" in refused:
        assert play.answer["error"]["code"] == refused["code"], play.answer
    if "tool" in refused:
        assert play.answer["result"]["isError"], play.answer
        assert refused["tool"] in play.answer["result"]["content"][0]["text"]
    assert refused.get("header", "") in play.challenge


def test_there_are_enough_of_them_and_each_has_a_name():
    assert len(CASES) >= 30
    assert len({case["id"] for case in CASES}) == len(CASES)
