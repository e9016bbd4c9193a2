"""What in a policy file speaks of more than anybody can answer for: whole top-level domains, open hosters."""

from collections.abc import Iterator
from typing import Any

from blastwall.policy.source import Loc

ANYBODY_S_HOSTS = frozenset(
    {
        "amazonaws.com",
        "appspot.com",
        "azurewebsites.net",
        "blob.core.windows.net",
        "cloudfront.net",
        "firebaseapp.com",
        "fly.dev",
        "github.io",
        "gitlab.io",
        "glitch.me",
        "herokuapp.com",
        "netlify.app",
        "ngrok-free.app",
        "ngrok.io",
        "onrender.com",
        "pages.dev",
        "r2.dev",
        "run.app",
        "trycloudflare.com",
        "vercel.app",
        "web.app",
        "workers.dev",
    }
)
"""Domains under which anybody can have a host within a minute."""

ANYBODY_S_MAIL = frozenset(
    {
        "aol.com",
        "gmail.com",
        "gmx.de",
        "gmx.net",
        "googlemail.com",
        "hotmail.com",
        "icloud.com",
        "live.com",
        "mail.ru",
        "outlook.com",
        "proton.me",
        "protonmail.com",
        "qq.com",
        "web.de",
        "yahoo.com",
        "yandex.ru",
    }
)
"""Domains at which anybody can have an address."""

_SECOND_LEVEL = ("ac", "co", "com", "edu", "gov", "net", "org")

Told = tuple[str, Loc, str, str]
"""A finding's code, where it is, what it is and what to do."""


def wide(data: Any, loc: Loc = ()) -> Iterator[Told]:
    """Find what is too wide, anywhere in a policy's data."""
    if isinstance(data, list):
        for i, item in enumerate(data):
            yield from wide(item, (*loc, i))
    elif isinstance(data, dict):
        for key, value in data.items():
            here = (*loc, key)
            for at, text in _texts(value, here):
                if told := _told(key, here, text):
                    yield told[0], at, *told[1:]
            yield from wide(value, here)


def _texts(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, list):
        yield from (((*loc, i), item) for i, item in enumerate(value) if isinstance(item, str))


def _told(key: str, loc: Loc, text: str) -> tuple[str, str, str] | None:
    if key in ("hosts", "host") and text.startswith("*."):
        return _host(text)
    if text.startswith("@") and (key == "recipients" or loc[0] == "trusted_records"):
        return _domain(text)
    if key == "under" and text == "/":
        return "wide-folder", "every path is somewhere under /", "name the folders that are meant"
    if loc[2:] == ("match", "tools") and text == "*":
        return "wide-match", "this claims every tool that there is", "name the tools, or what they start with"
    return None


def _host(text: str) -> tuple[str, str, str] | None:
    domain = text.removeprefix("*.").lower().partition(":")[0]
    labels = domain.split(".")
    if len(labels) == 1 or (len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _SECOND_LEVEL):
        return "wide-hosts", f"{text} is a whole part of the world", "name the hosts that are meant"
    if domain in ANYBODY_S_HOSTS:
        return "wide-hosts", f"anybody can have a host under {domain}", "name the hosts that are meant"
    return None


def _domain(text: str) -> tuple[str, str, str] | None:
    if text[1:].lower() in ANYBODY_S_MAIL:
        return "wide-recipients", f"anybody can have an address {text}", "name the addresses that are meant"
    return None
