"""How LangChain is told that a call was refused: an error that becomes a message and does not end the run."""

import sys

from langchain_core.tools import ToolException


class ToolRefusal(ToolException):
    """A call that blastwall refused, or whose output it withheld. The text is safe for the model."""


class RefusalsOnly:
    """A `handle_tool_error` that is False for a tool's own errors and True for refusals.

    LangChain asks for its truth while it handles the error, so the error in hand decides: a tool whose
    own errors end the run keeps that, callbacks included, and a refusal becomes the tool's answer.
    """

    def __bool__(self) -> bool:
        """Say whether the error that is being handled is a refusal."""
        return isinstance(sys.exception(), ToolRefusal)

    def __call__(self, error: ToolException) -> str:
        """Give the text of the refusal."""
        return str(error)


REFUSALS_ONLY = RefusalsOnly()
