"""The way to a server: only addresses that the policy means are dialled."""

import ssl

from blastwall.egress.networks import Unreachable
from blastwall.egress.resolve import Resolver
from blastwall.errors import BackendError
from blastwall_mcp.wire.places import Place, Streams, addresses, dial, is_loopback


class Route:
    """The way to one server. A name is resolved once; whatever it leads to later is not listened to."""

    def __init__(self, place: Place, *, private: bool, context: ssl.SSLContext | None = None) -> None:
        """Ask nobody yet.

        Args:
            place: Where it is.
            private: Whether its addresses may be of a network of our own, and be spoken to without TLS.
            context: Whom to trust; the system's authorities by default.

        """
        self._place = place
        self._private = private
        self._context = context or (ssl.create_default_context() if place.scheme == "https" else None)
        self._found: tuple[str, ...] = ()

    async def addresses(self) -> tuple[str, ...]:
        """Give the addresses that may be dialled.

        Raises:
            BackendError: there is none.

        """
        if not self._found:
            try:
                self._found = await self._resolved()
            except (Unreachable, OSError, UnicodeError) as error:
                raise BackendError(
                    f"{self._place.host} can't be connected to: {error}; a host of your own network needs"
                    " `private: true` beside its `url`"
                ) from None
        return self._found

    async def dial(self) -> Streams:
        """Connect to the first address that answers.

        Raises:
            OSError: none does, or TLS fails.
            BackendError: there is none that may be dialled.

        """
        return await dial(self._place, await self.addresses(), self._context)

    async def _resolved(self) -> tuple[str, ...]:
        own = is_loopback(self._place.host)
        found = await addresses(self._place, Resolver(), inside=own or self._private)
        if own and not all(map(is_loopback, found)):
            raise Unreachable("its name is of this machine, and its address is not")
        return found
