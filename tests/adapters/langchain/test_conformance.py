"""LangChain's own tool suites say the same of a bare and of a wrapped tool."""

import pytest
from langchain_core.callbacks import CallbackManagerForToolRun
from langchain_core.tools import BaseTool, StructuredTool, tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from blastwall_langchain import wrap_tool


@tool
def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


@tool(response_format="content_and_artifact")
def pair(a: int, b: int) -> tuple[str, int]:
    """Add, with an artifact."""
    return str(a + b), a + b


class Method(BaseTool):
    name: str = "method"
    description: str = "Add."

    def _run(self, a: int, b: int, run_manager: CallbackManagerForToolRun | None = None) -> int:
        return a + b


async def _only(a: int, b: int) -> tuple[str, int]:
    return str(a + b), a + b


async_only = StructuredTool(
    name="async_only",
    description="Add.",
    args_schema={"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    coroutine=_only,
    response_format="content_and_artifact",
)


@pytest.fixture(params=[add, pair, Method()], ids=lambda made: made.name)
def subject(request):
    return request.param


class _Suite:
    tool_invoke_params_example = {"a": 1, "b": 2}  # noqa: RUF012  # the suites' own form

    @property
    def tool_constructor(self):
        return self._tool

    @pytest.fixture(autouse=True)
    def _choose(self, subject):
        self._tool = subject


class _Wrapped(_Suite):
    @pytest.fixture(autouse=True)
    def _choose(self, subject, guard):
        self._tool = wrap_tool(subject, guard, connector="desk")


class TestBareUnit(_Suite, ToolsUnitTests):
    """Control."""


class TestWrappedUnit(_Wrapped, ToolsUnitTests):
    """Unit suite."""


class TestBareIntegration(_Suite, ToolsIntegrationTests):
    """Control."""


class TestWrappedIntegration(_Wrapped, ToolsIntegrationTests):
    """Integration suite."""


class _ByHand(ToolsIntegrationTests):
    tool_constructor = async_only
    tool_invoke_params_example = {"a": 1, "b": 2}  # noqa: RUF012  # the suites' own form

    async def outcomes(self, made: BaseTool) -> dict[str, str]:
        found = {}
        for name in (name for name in dir(self) if name.startswith("test_") and "invoke" in name):
            try:
                result = getattr(self, name)(made)
                found[name] = "passed" if result is None else str(await result or "passed")
            except Exception as error:  # noqa: BLE001  # whatever it is, it is compared
                found[name] = type(error).__name__
        return found


async def test_a_tool_that_the_suite_fails_fails_alike_when_wrapped(guard):
    """A tool with no blocking form, as MCP adapters make them."""
    bare = await _ByHand().outcomes(async_only)
    assert len(bare) == 4
    assert bare["test_invoke_no_tool_call"] == "NotImplementedError"
    assert await _ByHand().outcomes(wrap_tool(async_only, guard, connector="desk")) == bare
