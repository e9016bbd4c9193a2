"""What a launch would fetch and run: read from its words, which are data here and nothing else."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_EXACT = r"v?[0-9]+(?:\.[0-9A-Za-z]+)*(?:[-+.][0-9A-Za-z.+-]+)?"
_COMMIT = re.compile(r"(?:git\+)?[a-z+]+://\S+[@#][0-9a-f]{40}(?:[#&]\S*)?")
_SHELLS = ("sh", "bash", "zsh", "dash", "cmd", "powershell", "pwsh")
_WRAPPERS = ("env", "sudo", "nice", "nohup", "timeout", "setsid", "exec")
_VALUED = {
    "npx": (
        "-p", "--package", "-c", "--call", "-w", "--workspace", "--registry", "--cache", "--prefix",
    ),
    "uvx": (
        "--from", "--spec", "--with", "-p", "--python", "--index", "--index-url", "--with-requirements", "-c",
        "--constraints",
    ),
    "docker": (
        "-e", "--env", "-v", "--volume", "--mount", "--name", "-p", "--publish", "--network", "--net", "-w",
        "--workdir", "-u", "--user", "--env-file", "--entrypoint", "--platform", "--label", "-l", "--memory",
        "-m", "--cpus", "--add-host", "--hostname", "-h", "--pull",
    ),
}  # fmt: skip
"""Options that take the next word with them."""


@dataclass(frozen=True, slots=True)
class Package:
    """What a launch fetches.

    Attributes:
        kind: `npm`, `pypi`, `image` or `module`.
        name: Its name, without a version.
        spec: As it is written.
        pinned: Whether it is always the same.

    """

    kind: str
    name: str
    spec: str
    pinned: bool


def package(command: Sequence[str]) -> Package | None:
    """Say what a launch fetches before it runs; None where it runs what is there."""
    words = list(unwrapped(command))
    if words:
        words[0] = os.path.basename(words[0]).removesuffix(".cmd").removesuffix(".exe")
    for start, read_on in _FETCHERS:
        if tuple(words[: len(start)]) == start:
            return read_on(words[len(start) :])
    return None


def unwrapped(command: Sequence[str]) -> tuple[str, ...]:
    """Take off what only starts another program: `env A=b`, `cmd /c`, `sh -c "one command"`."""
    words = list(command)
    while words and os.path.basename(words[0]) in _WRAPPERS:
        words.pop(0)
        while words and (words[0].startswith("-") or "=" in words[0] or words[0].isdigit()):
            words.pop(0)
    if len(words) > 2 and _is_shell(words[0]) and words[1].lower() in ("-c", "/c", "-lc"):
        return tuple(words[2:]) if len(words) > 3 else tuple(words[2].split())
    return tuple(words)


def _is_shell(word: str) -> bool:
    return os.path.basename(word).removesuffix(".exe") in _SHELLS


def _first(words: Sequence[str], valued: Sequence[str]) -> str:
    """Give the first word that is no option, nor the value of one."""
    skip = False
    for word in words:
        if skip or word.startswith("-"):
            skip = not skip and word in valued
            continue
        return word
    return ""


def _after(words: Sequence[str], *options: str) -> str:
    for number, word in enumerate(words):
        for option in options:
            if word == option:
                return words[number + 1] if number + 1 < len(words) else ""
            if word.startswith(f"{option}="):
                return word[len(option) + 1 :]
    return ""


def _npm(words: Sequence[str]) -> Package | None:
    spec = _after(words, "-p", "--package") or _first(words, _VALUED["npx"])
    if not spec or spec.startswith((".", "/")):
        return None
    if "://" in spec:
        return Package("npm", _bare(spec), spec, bool(_COMMIT.fullmatch(spec)))
    name, _, version = spec.rpartition("@") if "@" in spec[1:] else (spec, "", "")
    pinned = bool(re.fullmatch(_EXACT, version) and version.count(".") >= 2)
    return Package("npm", name, spec, pinned)


def _bare(spec: str) -> str:
    """Give an address without what may be secret in it."""
    scheme, _, rest = spec.partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('@')[0]}"


def _pypi(words: Sequence[str]) -> Package | None:
    spec = _after(words, "--from", "--spec") or _first(words, _VALUED["uvx"])
    if not spec or spec.startswith((".", "/")):
        return None
    found = None if "://" in spec else re.match(r"[A-Za-z0-9._-]+", spec)
    exact = re.fullmatch(rf"[A-Za-z0-9._-]+(?:\[[^\]]*\])?(?:@|===?){_EXACT}", spec)
    pinned = bool(exact) or bool(_COMMIT.search(spec))
    name = found[0].lower().replace("_", "-") if found else _bare(spec)
    return Package("pypi", name, spec, pinned)


def _image(words: Sequence[str]) -> Package | None:
    spec = _first(words, _VALUED["docker"])
    if not spec:
        return None
    name, _, digest = spec.partition("@")
    head, _, tag = name.rpartition(":")
    tagged = bool(head) and "/" not in tag
    pinned = digest.startswith("sha256:") or (tagged and "." in tag and bool(re.fullmatch(_EXACT, tag)))
    return Package("image", head if tagged else name, spec, pinned)


def _module(words: Sequence[str]) -> Package | None:
    spec = _first(words, ())
    if not re.match(r"(?:npm|jsr|https?):|[a-z0-9-]+(?:\.[a-z0-9-]+)+/", spec):
        return None
    pinned = bool(re.search(rf"@{_EXACT}(?:/|$)", spec))
    return Package("module", spec.rpartition("@")[0] or spec, spec, pinned)


_Reader = Callable[[Sequence[str]], Package | None]

_FETCHERS: tuple[tuple[tuple[str, ...], _Reader], ...] = (
    (("npx",), _npm),
    (("bunx",), _npm),
    (("pnpx",), _npm),
    (("npm", "exec"), _npm),
    (("npm", "x"), _npm),
    (("pnpm", "dlx"), _npm),
    (("yarn", "dlx"), _npm),
    (("bun", "x"), _npm),
    (("uvx",), _pypi),
    (("uv", "tool", "run"), _pypi),
    (("pipx", "run"), _pypi),
    (("docker", "run"), _image),
    (("podman", "run"), _image),
    (("nerdctl", "run"), _image),
    (("go", "run"), _module),
    (("deno", "run"), _module),
)
"""The words that start something which is fetched first, and who reads the others."""
