"""What a client is answered: a server's results and errors as they came, refusals, and what our hop adds."""

from collections.abc import Mapping
from typing import assert_never

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types import methods
from pydantic import BaseModel, ValidationError

from blastwall.errors import BackendError
from blastwall.frozen import Json, NotJson, freeze, thaw
from blastwall.values import Delivered, Denied, Failed, Outcome, Reason, Refused, ToolOutput, Withheld
from blastwall_mcp._version import IDENTITY
from blastwall_mcp.engine.clients import Params
from blastwall_mcp.upstreams.hooks import UpstreamError
from blastwall_mcp.upstreams.pages import lasting

REFUSED = -32003
"""The error code of a refusal that is no tool result (of a resource, a prompt, a completion...)."""

LABEL = "blastwall/"
"""How all that we write into a `_meta` begins; nobody else's words may."""

PROFILE = f"{LABEL}profile"
"""In the `_meta` of a result: the sandbox profile of the second instance of the server that gave it."""

_RESULTS: Mapping[str, type[BaseModel]] = {
    "tools/call": types.CallToolResult,
    "prompts/get": types.GetPromptResult,
    "resources/read": types.ReadResourceResult,
    "completion/complete": types.CompleteResult,
}

_PLAIN = frozenset(("content", "isError", "structuredContent"))

_OURS = frozenset((types.PARSE_ERROR, types.HEADER_MISMATCH, types.UNSUPPORTED_PROTOCOL_VERSION))
"""Errors that speak of a connection. A server has no say in ours: it could talk clients into old versions."""

STAMP: Params = IDENTITY.model_dump(by_alias=True, mode="json", exclude_none=True)
"""How the proxy introduces itself on the wire."""


def payload(result: Params) -> Params:
    """Take off a result what the upstream's connection put on it, and what only we may say."""
    own = {key: value for key, value in result.items() if key not in ("resultType", "_meta")}
    meta = result.get("_meta")
    if isinstance(meta, dict) and (kept := {k: v for k, v in meta.items() if not _ours(k)}):
        own["_meta"] = kept
    return own


def _ours(key: str) -> bool:
    return key == types.SERVER_INFO_META_KEY or key.startswith(LABEL)


def output(method: str, result: Params, connector: str) -> Json:
    """Give a result for screening.

    Raises:
        BackendError: it is none that a client could read.

    """
    try:
        model = _RESULTS.get(method)
        if model is not None and not plain(result):
            model.model_validate(result, by_name=False)
        if not isinstance(result.get("isError", False), bool):
            raise NotJson("$.isError", "pydantic takes other things for a bool")
        return freeze(result)
    except (ValidationError, NotJson):
        raise BackendError(
            f"the server of connector {connector} answered with something that is no"
            f" {_word(method)} result: tell the user that it is broken"
        ) from None


def plain(result: Params) -> bool:
    """Say whether a result is one of nothing but text, as most are: a tool's, and right, at one look."""
    content = result.get("content")
    if not isinstance(content, list) or not result.keys() <= _PLAIN:
        return False
    return all(
        type(block) is dict
        and len(block) == 2
        and block.get("type") == "text"
        and type(block.get("text")) is str
        for block in content
    )


def fault(error: UpstreamError) -> ToolOutput:
    """Give a server's protocol error as an output: its words are the server's, and screened like others."""
    code = types.INTERNAL_ERROR if error.code in _OURS else error.code
    told: Params = {"code": code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return ToolOutput(freeze(told), is_error=True)


def answer(method: str, outcome: Outcome, *, faulty: bool) -> Params:
    """Give what a guarded call came to.

    Raises:
        MCPError: the server's own protocol error, or a refusal of anything but a tool call.

    """
    match outcome:
        case Delivered(output):
            if faulty:
                raise _fault(output.value)
            return output.raw if isinstance(output.raw, dict) else _rebuilt(method, output.value)
        case Refused(denied) | Failed(denied) | Withheld(denied):
            return refusal(method, denied)
        case _:
            assert_never(outcome)


def _fault(told: Json) -> MCPError:
    error = thaw(told)
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return MCPError(types.INTERNAL_ERROR, "the server's error can't be shown")
    return MCPError(error.get("code", types.INTERNAL_ERROR), error["message"], error.get("data"))


def _rebuilt(method: str, value: Json) -> Params:
    """Give a result that screening changed."""
    result = thaw(value)
    try:
        output(method, result, "")
    except BackendError:
        denied = Denied(
            Reason.OUTPUT_REJECTED, f"what screening left of the output is no {_word(method)} result"
        )
        return refusal(method, denied)
    assert isinstance(result, dict)  # noqa: S101  # `output` saw to it
    return result


def refusal(method: str, denied: Denied) -> Params:
    """Give a refusal in the form that this method has for one; a tool's is a result that the model reads.

    Raises:
        MCPError: for all others.

    """
    if method == "tools/call":
        return {"content": [{"type": "text", "text": str(denied)}], "isError": True}
    raise MCPError(_CODES.get(denied.reason, REFUSED), str(denied), {"reason": denied.reason.value})


_CODES = {
    Reason.INVALID_CALL: types.INVALID_PARAMS,
    Reason.CHECK_FAILED: types.INTERNAL_ERROR,
    Reason.BACKEND_FAILED: types.INTERNAL_ERROR,
    Reason.AUDIT_UNAVAILABLE: types.INTERNAL_ERROR,
}


def _word(method: str) -> str:
    return method.partition("/")[0].removesuffix("s")


# --- The form that a client's era has for it --------------------------------------------------------------


def shaped(method: str, result: Params, *, modern: bool) -> Params:
    """Give a result as a client of this era wants it."""
    return _modern(method, result) if modern else _legacy(result)


def _modern(method: str, result: Params) -> Params:
    shape = {**result, "resultType": result.get("resultType", "complete")}
    meta = result.get("_meta")
    shape["_meta"] = {**(meta if isinstance(meta, dict) else {}), types.SERVER_INFO_META_KEY: STAMP}
    if method in methods.CACHEABLE_METHODS and shape["resultType"] == "complete":
        # What one client may see is not what another may: nothing of it is for a cache that they share.
        shape |= {"ttlMs": lasting(result.get("ttlMs")), "cacheScope": "private"}
    return shape


def _legacy(result: Params) -> Params:
    shape = {k: v for k, v in result.items() if k not in ("resultType", "ttlMs", "cacheScope")}
    if "structuredContent" in shape and not isinstance(shape["structuredContent"], dict):
        del shape["structuredContent"]  # these versions know objects only, and its text says the same
    return shape
