"""Guard LangChain tools and agents.

tools = wrap_tools(tools, guard)
agent = create_agent(model, tools, middleware=[BlastwallMiddleware(guard)])
"""

try:
    import langchain  # noqa: F401
    import langchain_core  # noqa: F401
    import langgraph  # noqa: F401
except ImportError as error:
    raise ImportError("blastwall_langchain needs LangChain: install blastwall[langchain]") from error

from blastwall_langchain.approval import interrupt_approval
from blastwall_langchain.middleware import BlastwallMiddleware
from blastwall_langchain.refusal import ToolRefusal
from blastwall_langchain.wrap import wrap_tool, wrap_tools

__all__ = ["BlastwallMiddleware", "ToolRefusal", "interrupt_approval", "wrap_tool", "wrap_tools"]
