"""What the words of a launch tell: which template fits, which package it imitates, what goes into a shell."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import Any

import re2

from blastwall.policy.shipped import names, text
from blastwall.policy.source import read
from blastwall.trust.packages import Package, package, unwrapped

_PIPED = re2.compile(
    r"(?i)\b(?:curl|wget|iwr|irm|Invoke-WebRequest)\b[^|;&]*\|\s*(?:sudo\s+)?\w*(?:sh|python3?|node|iex)\b"
)


def piped(command: Sequence[str]) -> bool:
    """Say whether a launch hands what it downloads to an interpreter."""
    return bool(_PIPED.search(" ".join(command)))


@cache
def known() -> dict[tuple[str, str], str]:
    """Give the packages that the shipped templates were held against: kind and name, and the template."""
    found: dict[tuple[str, str], str] = {}
    for title in names():
        for kind, listed in read(text(title)).data["servers"].items():
            for entry in listed:
                found.setdefault((kind, entry.split(" ")[0]), title)
    return {key: title for key, title in found.items() if key[1] != "langchain-community"}


def template(command: Sequence[str]) -> str:
    """Name the shipped template for a server, or ""."""
    found = package(command)
    if found is not None:
        return known().get((found.kind, found.name), "")
    words = {_program(word) for word in unwrapped(command)[:4]}
    return next((title for (_, name), title in known().items() if _program(name) in words), "")


def _program(name: str) -> str:
    """Give what a package's program or module is called: `mcp_server_git`, `mcp-server-git`."""
    base = name.rpartition("/")[2].removesuffix(".js").removesuffix(".py").lower().replace("_", "-")
    return base if base.startswith("mcp-") else f"mcp-{base}" if base.startswith("server-") else base


def imitated(found: Package) -> str:
    """Name the well-known package that another one's name is all but equal to, or ""."""
    packages = [name for kind, name in known() if kind == found.kind]
    if found.name in packages:
        return ""
    close = [name for name in packages if len(name) > 7 and _near(name, found.name)]
    return close[0] if close else ""


def _near(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > 2 or (one[-4:] != other[-4:] and one[:4] != other[:4]):
        return False
    matcher: SequenceMatcher[Any] = SequenceMatcher(None, one, other, autojunk=False)
    same = sum(piece.size for piece in matcher.get_matching_blocks())
    return max(len(one), len(other)) - same <= 2
