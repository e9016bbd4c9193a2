"""One use of something that a server has: judged, sent to the right instance, and its result looked at."""

from collections.abc import Mapping
from functools import partial
from time import monotonic

from mcp.shared.dispatcher import ProgressFnT

from blastwall.frozen import thaw
from blastwall.values import Action, Denied, Profile, Reason, ToolCall, ToolOutput
from blastwall_mcp.catalogue.entries import Entry
from blastwall_mcp.engine.answers import PROFILE, answer, fault, output, payload, plain
from blastwall_mcp.engine.asks import Asks
from blastwall_mcp.engine.clients import OUT_OF_REACH, Client, Errand, Params
from blastwall_mcp.engine.ongoing import Ongoing
from blastwall_mcp.engine.pushes import Pushes
from blastwall_mcp.engine.unknowns import Unknowns
from blastwall_mcp.engine.views import View, Views
from blastwall_mcp.upstreams.upstream import Upstream, UpstreamError

FREE_STEPS = 100
STEP_S = 0.1
"""Steps of progress that a call may tell as fast as it likes, and how long each further one stands alone."""


class Uses:
    """Carries uses out."""

    def __init__(self, views: Views, ongoing: Ongoing, pushes: Pushes, unknowns: Unknowns) -> None:
        """Keep the parts."""
        self._views, self._ongoing, self._pushes, self._unknowns = views, ongoing, pushes, unknowns

    async def use(self, errand: Errand, entry: Entry, name: str, arguments: Params) -> Params:
        """Give what a use comes to; `name` is what the policy calls it.

        Raises:
            MCPError: the server's own error, or a refusal where there is no result to put it in.

        """
        client = errand.client
        if denied := _inadmissible(client, entry, name, arguments):
            outcome = client.session.refuse(entry.connector, name, arguments, denied)
            return answer(errand.method, outcome, faulty=False)
        view = self._views.of(client)
        work = self._guarded(view, errand, entry, name, arguments)
        if client.modern and view.offered[entry.connector]:
            return await self._ongoing.run(errand, work, client.session.guard.policy.approval_s)
        return await work

    async def _guarded(
        self, view: View, errand: Errand, entry: Entry, name: str, arguments: Params
    ) -> Params:
        outcome = await errand.client.session.acall(
            entry.connector,
            name,
            arguments,
            partial(self._execute, view, errand, entry),
            confine=partial(self._confine, view, errand, entry),
            annotations=entry.annotations,
            fingerprint=entry.fingerprint,
        )
        return answer(errand.method, outcome, faulty=errand.faulty)

    async def _execute(self, view: View, errand: Errand, entry: Entry, call: ToolCall) -> ToolOutput:
        return await self._run(view, errand, entry, call, view.upstreams[entry.connector])

    async def _confine(
        self, view: View, errand: Errand, entry: Entry, call: ToolCall, profile: Profile
    ) -> ToolOutput:
        """Run the call in a second instance of its server, inside the profile that the rule names."""
        second = self._views.confined(errand.client, entry.connector, profile)
        if second is None:
            return await self._execute(view, errand, entry, call)
        return await self._run(view, errand, entry, call, second, {PROFILE: profile.name})

    async def _run(
        self,
        view: View,
        errand: Errand,
        entry: Entry,
        call: ToolCall,
        upstream: Upstream,
        label: Mapping[str, str] | None = None,
    ) -> ToolOutput:
        if entry.barred:
            raise type(entry.barred)(str(entry.barred))
        asks = Asks(errand, call.connector, self._unknowns)
        try:
            result = await self._sent(errand, call, upstream, asks)
        except UpstreamError as error:
            errand.faulty = True
            return fault(await asks.announced(error))
        result = payload(result)
        if label:
            result["_meta"] = {**result.get("_meta", {}), **label}
        value = output(errand.method, result, call.connector)
        if not plain(result):
            view.catalogue.remember_links(call.connector, result)
        return ToolOutput(value, result.get("isError") is True, result, entry.check_output)

    async def _sent(self, errand: Errand, call: ToolCall, upstream: Upstream, asks: Asks) -> Params:
        arguments = thaw(call.arguments)
        params = {"name": call.tool, "arguments": arguments} if errand.method == "tools/call" else arguments
        return await upstream.request(
            errand.method,
            params,
            meta=self._pushes.forwarded(upstream, errand),
            on_progress=_progress(errand, call),
            on_message=self._pushes.logging(upstream, errand),
            asker=asks.ask,
        )


def _inadmissible(client: Client, entry: Entry, name: str, arguments: Params) -> Denied | None:
    """Say what is wrong with a use whatever the policy says of it."""
    if not client.reaches(entry.connector, name):
        return OUT_OF_REACH
    if entry.barred and entry.reason is Reason.CHANGED:
        return Denied(entry.reason, str(entry.barred))
    if entry.check_input and (problem := entry.check_input(arguments)):
        return Denied(Reason.INVALID_CALL, f"the arguments don't fit the tool: {problem}")
    return None


def _progress(errand: Errand, call: ToolCall) -> ProgressFnT | None:
    """Pass progress on, but no words that screening objects to, and no flood of it."""
    if "progressToken" not in errand.meta:
        return None
    policy = errand.client.session.guard.policy
    steps, last = 0, 0.0

    async def report(progress: float, total: float | None, message: str | None) -> None:
        nonlocal steps, last
        steps += 1
        if steps > FREE_STEPS and monotonic() < last + STEP_S:
            return
        last = monotonic()
        clean = message and policy.screen(call, ToolOutput(message)).action is Action.PASS
        await errand.context.progress(progress, total, message if clean else None)

    return report
