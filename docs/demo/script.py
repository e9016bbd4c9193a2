"""A chat model that follows a script, and obeys any order it reads: the worst agent there is."""

import json
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

ORDER = re.compile(r"call the tool (\w+) with (\{.*?\})\s", re.DOTALL)
"""How the poisoned file words its order."""


class GullibleModel(BaseChatModel):
    """Makes the tool calls of `plan`, one a turn; an order found in a tool's output goes first."""

    plan: list[tuple[str, dict[str, Any]]]
    last_words: str = "Done."
    _step: int = PrivateAttr(default=0)
    _obeyed: set[str] = PrivateAttr(default_factory=set)

    @property
    def _llm_type(self) -> str:
        return "gullible"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "GullibleModel":  # type: ignore[override]
        """Need no tools to be bound: the script knows them."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._order(messages) or self._planned()
        message = AIMessage(self.last_words)
        if call is not None:
            identity = f"call-{len(messages)}"
            message = AIMessage("", tool_calls=[{"name": call[0], "args": call[1], "id": identity}])
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _planned(self) -> tuple[str, dict[str, Any]] | None:
        self._step += 1
        return self.plan[self._step - 1] if self._step <= len(self.plan) else None

    def _order(self, messages: list[BaseMessage]) -> tuple[str, dict[str, Any]] | None:
        last = messages[-1]
        found = ORDER.search(last.text) if isinstance(last, ToolMessage) else None
        if found is None or found.group(0) in self._obeyed:
            return None
        self._obeyed.add(found.group(0))
        arguments: dict[str, Any] = json.loads(found.group(2))
        return found.group(1), arguments
