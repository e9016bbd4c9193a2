"""Ask a person through a LangGraph interrupt, in the words of LangChain's human-in-the-loop middleware."""

from typing import Any

from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.types import interrupt

from blastwall.errors import BackendError, Suspended
from blastwall.frozen import thaw
from blastwall.values import Answer, Approved, Ask, Classify, Edited, Rejected, ToolCall

_PERSON = "a person, by LangGraph interrupt"
_DECISIONS = ["approve", "edit", "reject"]


def interrupt_approval(call: ToolCall, verdict: Ask | Classify) -> Answer:
    """Pause the graph until a person decides: `Guard.from_file(path, ask=interrupt_approval)`.

    The interrupt's value is a `HITLRequest` of one action, with the call's `digest` beside name and
    arguments. Resume with a `HITLResponse` of one decision: approve, edit (the same tool, other
    arguments, which are judged from the start and may be asked about again) or reject. A decision may
    name the `digest` it is for, and must where one task runs several calls (a ToolNode as a plain graph
    node), because LangGraph hands out answers by order there. `create_agent` runs each call in a task of
    its own. The graph needs a checkpointer, and its tools run again from their start when it resumes.

    Raises:
        Suspended: while nobody has answered; the adapter hands the interrupt on to LangGraph.
        BackendError: outside a graph, or for an answer that can't be read: the call is refused.

    """
    try:
        config = get_config()
        answer = interrupt(_request(call, verdict))
    except GraphBubbleUp as error:
        raise Suspended("a person was asked by a LangGraph interrupt") from error
    except (RuntimeError, KeyError):
        raise BackendError(
            "nobody can be asked by interrupt here: run the tool in a LangGraph graph with a checkpointer"
        ) from None
    path = (config.get("metadata") or {}).get("langgraph_path") or ("",)
    return _answer(call, _decision(answer), alone=path[0] == "__pregel_push")


def _request(call: ToolCall, verdict: Ask | Classify) -> dict[str, Any]:
    action = {
        "name": call.tool,
        "args": thaw(call.arguments),
        "description": verdict.question,
        "digest": call.digest,
    }
    review = {"action_name": call.tool, "allowed_decisions": list(_DECISIONS)}
    return {"action_requests": [action], "review_configs": [review]}


def _decision(answer: Any) -> dict[str, Any]:
    """Take one decision, alone or as a `HITLResponse` of one."""
    match answer:
        case {"decisions": [{"type": str()} as decision]} | ({"type": str()} as decision):
            return dict(decision)
        case _:
            raise BackendError('the answer is no decision: resume with {"decisions": [{"type": "approve"}]}')


def _answer(call: ToolCall, decision: dict[str, Any], *, alone: bool) -> Answer:
    digest = decision.get("digest", call.digest if alone else None)
    match decision:
        case {"type": "reject"}:
            return Rejected(str(decision.get("message") or "a person said no"), _PERSON)
        case _ if not isinstance(digest, str):
            raise BackendError("several calls may wait here: the decision must name its request's `digest`")
        case {"type": "approve"}:
            return Approved(digest, _PERSON)
        case {"type": "edit"} if digest == call.digest:
            return _edit(call, decision.get("edited_action"))
        case _:
            raise BackendError(f"the decision must be {', '.join(_DECISIONS)}, about the call that was asked")


def _edit(call: ToolCall, action: Any) -> Answer:
    match action:
        case {"name": call.tool, "args": dict(arguments)}:
            return Edited(arguments, _PERSON)
        case _:
            return Rejected("an edit must give `args` for the same tool", _PERSON)
