"""Real values for placeholders, on the way out. Pure."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from blastwall.egress.decide import covers, pattern

Headers = list[tuple[bytes, bytes]]

PREFIX = b"blastwall-placeholder-"
_BASIC = re.compile(rb"(?i)(basic[ \t]+)([A-Za-z0-9+/_=-]+)[ \t]*")


@dataclass(frozen=True, slots=True)
class Held:
    """One credential as the gate holds it: what stands for what, and towards whom."""

    name: str
    placeholder: bytes
    value: bytes = field(repr=False)
    hosts: tuple[str, ...]

    def bound(self, host: str) -> bool:
        """Say whether the real value may go to a canonical host."""
        return any(covers(pattern(text), host) for text in self.hosts)


def misplaced(held: Sequence[Held], host: str, target: bytes, headers: Headers) -> str:
    """Say why the head of a request can't be sent, or "".

    A placeholder is worthless where it is not replaced, so one that shows up where it can't be is a mistake
    or an attempt: either way it is worth a refusal that says so. Bodies are not searched: there it stays
    what it is, worthless.
    """
    if PREFIX in target or b"blastwall%2dplaceholder" in target.lower():
        return "a credential's placeholder stands in the URL, where it is never replaced: send it in a header"
    seen = b"\n".join(part for name, value in headers for part in (name, value, _decoded(value)))
    for one in held:
        if one.placeholder in seen and not one.bound(host):
            return f"the credential {one.name} is not for {host}"
    return ""


def replaced(held: Sequence[Held], host: str, headers: Headers) -> tuple[Headers, bool]:
    """Put real values into header values and into basic authentication; say whether there were any."""
    bound = [one for one in held if one.bound(host)]
    new = [(name, _with_real(bound, value)) for name, value in headers]
    return new, new != headers


def _with_real(bound: Sequence[Held], value: bytes) -> bytes:
    basic = _BASIC.fullmatch(value)
    if basic is None:
        return _swapped(bound, value)
    before = _decoded(value)
    after = _swapped(bound, before)
    return value if after == before else basic[1] + base64.b64encode(after)


def _swapped(bound: Sequence[Held], text: bytes) -> bytes:
    for one in bound:
        text = text.replace(one.placeholder, one.value)
    return text


def _decoded(value: bytes) -> bytes:
    basic = _BASIC.fullmatch(value)
    if basic is None:
        return b""
    text = basic[2].translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return b""
