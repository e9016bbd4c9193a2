"""Values that a policy trusts by name: the people, accounts and places that may always be addressed."""

from collections.abc import Iterable
from dataclasses import dataclass

from blastwall.frozen import Json
from blastwall.policy.addresses import mail_addresses, recipient
from blastwall.provenance import normalised


@dataclass(frozen=True, slots=True)
class Records:
    """One named set of trusted values."""

    name: str
    values: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()

    @classmethod
    def of(cls, name: str, entries: Iterable[str]) -> "Records":
        """Make a set; an entry `@domain` stands for every mail address of that domain."""
        listed = list(entries)
        return cls(
            name,
            frozenset(normalised(entry) for entry in listed if not entry.startswith("@")),
            frozenset(recipient(entry) for entry in listed if entry.startswith("@")),
        )

    def covers(self, value: Json) -> bool:
        """Say whether a value is in the set; of text with several mail addresses, every one."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return False
        text = str(value)
        if normalised(text) in self.values:
            return True
        addresses = mail_addresses(text)
        return bool(addresses) and all(self._listed(address) for address in addresses or ())

    def _listed(self, address: str) -> bool:
        return address in self.values or "@" + address.rpartition("@")[2] in self.domains
