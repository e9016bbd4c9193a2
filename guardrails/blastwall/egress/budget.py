"""What may go to one destination and come from it in a session, counted as it goes."""

from dataclasses import dataclass


class Spent(Exception):
    """A budget ran out. The message is safe for models."""


@dataclass(slots=True)
class Account:
    """What is left of one destination's budgets, in bytes, for all connections of the session together."""

    name: str
    upload: int
    download: int


@dataclass(slots=True)
class Meter:
    """Counts what one connection moves, and charges it to the account that it is on."""

    account: Account
    sent: int = 0
    received: int = 0

    def sending(self, size: int) -> None:
        """Charge bytes that are about to leave.

        Raises:
            Spent: when there are too many; they must not leave.

        """
        if size > self.account.upload:
            raise Spent(f"the upload budget of {self.account.name} is used up (upload_kb)")
        self.account.upload -= size
        self.sent += size

    def receiving(self, size: int) -> None:
        """Charge bytes that came.

        Raises:
            Spent: when there are too many; they must not be passed on.

        """
        if size > self.account.download:
            raise Spent(f"the download budget of {self.account.name} is used up (download_kb)")
        self.account.download -= size
        self.received += size
