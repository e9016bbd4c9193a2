"""Real servers answer through the proxy as they answer without it: both clients, both eras, every message."""

import difflib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import serving, wire
from tests.conformance.node import Node, needed
from tests.conformance.sessions import LEGACY, MODULES, SCRIPTS, Script, Step, prepared

HERE = Path(__file__).parent
SEPARATOR = "__"
PATIENCE_S = 120
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
RUNS = [(client, mode) for client in ("python", "typescript") for mode in ("auto", "legacy")]


@dataclass(frozen=True)
class Run:
    """How one session went: what passed, and how each step ended for the client."""

    steps: list[Step]
    exchanges: list[wire.Exchange]
    endings: list[str]
    folder: Path


def asked(script: Script, folder: Path, mode: str) -> list[Step]:
    """Give the steps of a server in one era."""
    return [step for step in script.steps(str(folder)) if mode == "legacy" or step[0] not in LEGACY]


def exposed(connector: str, step: Step) -> Step:
    """Put the connector's name before the names in a request."""
    method, params = step
    renamed = dict(params)
    if "name" in params:
        renamed["name"] = f"{connector}{SEPARATOR}{params['name']}"
    if params.get("ref", {}).get("type") == "ref/prompt":
        renamed["ref"] = params["ref"] | {"name": f"{connector}{SEPARATOR}{params['ref']['name']}"}
    return method, renamed


def tapped(log: Path, command: list[str]) -> list[str]:
    return [sys.executable, str(HERE / "tap.py"), str(log), *command]


def play(node: Node, client: str, sessions: list[dict[str, Any]], folder: Path) -> list[list[str]]:
    """Have a client play sessions; give how each step ended."""
    file = folder / "sessions.json"
    file.write_text(json.dumps(sessions))
    words = [sys.executable, str(HERE / "drive.py")]
    if client == "typescript":
        words = [str(node.binary), str(HERE / "drive.mjs"), str(node.modules)]
    done = subprocess.run([*words, str(file)], capture_output=True, text=True, timeout=PATIENCE_S, cwd=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    endings: list[list[str]] = json.loads(done.stdout)
    return endings


class World:
    """All runs, each made when it is first asked for."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        self.folder = folder
        self.runs = cache(self._runs)

    def _runs(self, client: str, mode: str) -> tuple[dict[str, Run], Run]:
        """Play both at once: neither needs the other, and servers are slow to start."""
        with ThreadPoolExecutor(2) as pool:
            direct = pool.submit(self._direct, client, mode)
            proxied = pool.submit(self._proxied, client, mode)
            return direct.result(), proxied.result()

    def _direct(self, client: str, mode: str) -> dict[str, Run]:
        """Ask each server by itself."""
        place = self._place("direct", client, mode)
        steps: dict[str, list[Step]] = {}
        sessions = []
        for name, script in SCRIPTS.items():
            folder = prepared(place / name)
            steps[name] = [("tools/list", {}), *((which, {}) for which in script.lists)]
            steps[name] += asked(script, folder, mode)
            command = tapped(place / f"{name}.log", script.command(self.node, folder))
            sessions.append(self._session(command, self._env(script, folder), mode, script.asks, steps[name]))
        endings = play(self.node, client, sessions, place)
        return {
            name: Run(steps[name], self._read(place / f"{name}.log", steps[name]), ended, place / name)
            for name, ended in zip(SCRIPTS, endings, strict=True)
        }

    def _proxied(self, client: str, mode: str) -> Run:
        """Ask all servers, one after the other, through one proxy."""
        place = self._place("proxied", client, mode)
        servers = {}
        steps: list[Step] = [(which, {}) for which in LISTS]
        for name, script in SCRIPTS.items():
            folder = prepared(place / name)
            words = script.command(self.node, folder)
            servers[name] = serving.launched(*words) | {"env": self._env(script, folder)}
            steps += [exposed(name, step) for step in asked(script, folder, mode)]
        command = tapped(place / "proxy.log", serving.proxy_command(serving.policy(place, servers)))
        endings = play(self.node, client, [self._session(command, {}, mode, True, steps)], place)
        return Run(steps, self._read(place / "proxy.log", steps), endings[0], place)

    def _place(self, *names: str) -> Path:
        return Path(tempfile.mkdtemp(prefix="-".join(names), dir=self.folder))

    def _env(self, script: Script, folder: Path) -> dict[str, str]:
        return {name: value.format(folder) for name, value in script.env.items()}

    def _session(
        self, command: list[str], env: dict[str, str], mode: str, asks: bool, steps: list[Step]
    ) -> Any:
        return {"command": command, "env": env, "mode": mode, "asks": asks, "steps": steps}

    def _read(self, log: Path, steps: list[Step]) -> list[wire.Exchange]:
        found = wire.exchanges(log, {method for method, _ in steps})
        assert len(found) == len(steps), f"{len(steps)} steps, and {len(found)} exchanges in {log}"
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"not installed: {', '.join(missing)}")
    return World(needed(), tmp_path_factory.mktemp("differential"))


def compare(direct: list[str], proxied: list[str]) -> None:
    """Fail with a diff of what is not the same."""
    lines: list[str] = []
    for before, after in zip(direct, proxied, strict=True):
        if before != after:
            title = before.split("\n", 1)[0][:80]
            diff = difflib.unified_diff(
                before.split("\n"), after.split("\n"), title, "proxied", "", "", 6, ""
            )
            lines += [line[:400] for line in diff]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def beginning(direct: dict[str, Run], name: str, mode: str) -> int:
    """Say which step of the session through the proxy is the first of a server."""
    before = [other for other in SCRIPTS if list(SCRIPTS).index(other) < list(SCRIPTS).index(name)]
    return len(LISTS) + sum(len(asked(SCRIPTS[other], direct[other].folder, mode)) for other in before)


@pytest.mark.parametrize(("client", "mode"), RUNS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_server_answers_the_same_through_the_proxy(world, client, mode, name):
    direct, proxied = world.runs(client, mode)
    lists, first = 1 + len(SCRIPTS[name].lists), beginning(direct, name, mode)
    expected = [wire.plain(e, name, SEPARATOR, direct[name].folder) for e in direct[name].exchanges[lists:]]
    last = first + len(expected)
    folder = proxied.folder / name
    found = [wire.plain(e, name, SEPARATOR, folder) for e in proxied.exchanges[first:last]]
    endings = direct[name].endings[lists:]
    for at, (before, after) in enumerate(zip(expected, found, strict=True)):
        if wire.refused_alike(before, after):
            after.answer, endings[at] = before.answer, proxied.endings[first + at]
    compare([exchange.shown() for exchange in expected], [exchange.shown() for exchange in found])
    compare(endings, proxied.endings[first:last])


@pytest.mark.parametrize(("client", "mode"), RUNS)
@pytest.mark.parametrize("which", LISTS)
def test_the_lists_of_the_proxy_are_those_of_its_servers(world, client, mode, which):
    direct, proxied = world.runs(client, mode)
    key, identity = wire.LISTS[which]
    merged = proxied.exchanges[LISTS.index(which)].answer[key]
    items: list[Any] = []
    for name, run in direct.items():
        for exchange in run.exchanges[: 1 + len(SCRIPTS[name].lists)]:
            if exchange.method == which:
                items += [_exposed_item(name, item, identity) for item in exchange.answer[key]]
    compare([_sorted(items, identity)], [_sorted(merged, identity)])


def _sorted(items: list[Any], identity: str) -> str:
    """Write a list down, without what tools say of tasks: the proxy knows none."""
    known = [{key: value for key, value in item.items() if key != "execution"} for item in items]
    in_order = sorted(known, key=lambda item: str(item[identity]))
    return json.dumps(in_order, indent=1, sort_keys=True, ensure_ascii=False)


def _exposed_item(connector: str, item: Any, identity: str) -> Any:
    return item if identity != "name" else item | {"name": f"{connector}{SEPARATOR}{item['name']}"}
