"""Addresses and accounts in their one form: of mail, of the web, of a bank."""

import ipaddress
import re
from string import ascii_letters, digits

import idna

_LOCAL = r"[A-Za-z0-9_+'=&~.!#$%*/?^`{|}-]+"
_MAIL = re.compile(rf"(?:[Mm][Aa][Ii][Ll][Tt][Oo]:)?(<)?({_LOCAL})@([^\s@<>/?#:,;\\]+)(?(1)>)")
_WEB = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]{0,15}):(?=//))?(?://)?"
    r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#:@%\[\]|^{}\\<>\"`]+)"
    r"(?::([0-9]{1,5}))?"
    r"([/?#][^\s\\<>\"`]*)?"
)
_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
_WEB_SCHEMES = frozenset(("", "http", "https"))
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(ascii_letters + digits + "-._~")
_IBAN = re.compile(r"[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}")
_ACCOUNT = re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b")
_LONGEST_HOST = 253


def host(text: str) -> str | None:
    """Give a host in lower-case ASCII, without the dot of the root; None when it is no host, or two.

    A name outside ASCII counts only where both editions of IDNA read it alike. An IPv6 address has no zone
    (`%eth0`), for that may be any words.
    """
    if len(text) > _LONGEST_HOST or "%" in text:
        return None
    try:
        if text.startswith("[") and text.endswith("]"):
            return f"[{ipaddress.IPv6Address(text[1:-1])}]"
        name = (text.lower() if text.isascii() else _ascii(text)).removesuffix(".")
    except (ValueError, UnicodeError):
        return None
    return name if _HOST.fullmatch(name) else None


def _ascii(name: str) -> str:
    encoded = idna.encode(name, uts46=True, std3_rules=True)
    if encoded != name.lower().encode("idna"):
        raise ValueError("two readings")
    return encoded.decode()


def mail_address(text: str) -> str | None:
    """Give `a@b`, `<a@b>` or `mailto:a@b` as `a@b` in lower case; None for anything else."""
    found = _MAIL.fullmatch(text)
    if found is None:
        return None
    where = host(found.group(3))
    return f"{found.group(2).lower()}@{where}" if where else None


def web_address(text: str) -> str | None:
    """Give the form of a web address; None when it is none, or two.

    `http`, `https` and none are one scheme, for the host is what one trusts. The case of the path stays, for
    it matters. A host alone is an address only with a scheme, or if it begins with `www.`.
    """
    found = _WEB.fullmatch(text)
    if found is None:
        return None
    scheme, name, port, rest = (part or "" for part in found.groups())
    scheme = scheme.lower()
    if not (scheme or name[:4].lower() == "www." or ("." in name and rest)):
        return None
    where = host(name)
    if where is None:
        return None
    shown = f"{scheme}:" if scheme not in _WEB_SCHEMES else ""
    at = f":{port}" if port and port != _PORTS.get(scheme or "https") else ""
    path = rest if rest.startswith("/") else f"/{rest}"
    return f"{shown}//{where}{at}{_PERCENT.sub(_percent, path)}"


def _percent(found: re.Match[str]) -> str:
    char = chr(int(found.group(1), 16))
    return char if char in _UNRESERVED else found.group().upper()


def account(text: str) -> str | None:
    """Give an IBAN without blanks and in lower case; None for anything else, such as a mistyped one."""
    return text.replace(" ", "").lower() if _IBAN.fullmatch(text) and checks(text) else None


def accounts(text: str) -> list[str]:
    """Give the forms of the IBANs inside a text, however they are spaced."""
    found = (account(run) for run in _ACCOUNT.findall(text))
    return [form for form in found if form]


def checks(iban: str) -> bool:
    """Say whether the check digits of an IBAN are right (ISO 7064, modulo 97)."""
    compact = iban.replace(" ", "").upper()
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1
