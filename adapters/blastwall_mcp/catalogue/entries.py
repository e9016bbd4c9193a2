"""One thing that a server offers, read from its raw definition: what it is, and why it may not be used."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import mcp_types as types
from pydantic import BaseModel, ValidationError

from blastwall.errors import BackendError
from blastwall.fingerprint import fingerprint
from blastwall.frozen import Json, NotJson, freeze
from blastwall.policy import Layered, Policy
from blastwall.screening import json_schema
from blastwall.values import WORST_CASE, Action, Annotations, OutputCheck, Reason, ToolCall, ToolOutput
from blastwall_mcp.catalogue.bombs import is_bomb
from blastwall_mcp.catalogue.names import SEPARATOR, exposed, is_message
from blastwall_mcp.catalogue.speech import Speech, said

Kind = Literal["tools", "prompts", "resources", "templates"]


@dataclass(frozen=True, slots=True)
class Sort:
    """One of the four kinds of things that servers list.

    Attributes:
        word: What one is called.
        capability: What a server declares that has some.
        method: The request that lists them.
        key: Where they stand in the answer.
        name: The member of a definition that says which one it is.
        message: What a use of one is called in the policy; a tool is called by its own name there.
        argument: The argument of that message which is known before it is asked for.
        model: What a definition must fit.

    """

    word: str
    capability: str
    method: str
    key: str
    name: str
    message: str
    argument: str
    model: type[BaseModel]


_GET, _READ = "mcp:prompts/get", "mcp:resources/read"

SORTS: Mapping[Kind, Sort] = {
    "tools": Sort("tool", "tools", "tools/list", "tools", "name", "", "", types.Tool),
    "prompts": Sort("prompt", "prompts", "prompts/list", "prompts", "name", _GET, "name", types.Prompt),
    "resources": Sort(
        "resource", "resources", "resources/list", "resources", "uri", _READ, "uri", types.Resource
    ),
    "templates": Sort(
        "resource template",
        "resources",
        "resources/templates/list",
        "resourceTemplates",
        "uriTemplate",
        _READ,
        "",
        types.ResourceTemplate,
    ),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool, a prompt, a resource or a template of one connector.

    Attributes:
        connector: Whose it is.
        kind: What it is.
        name: Its name there; its URI, or its URI template.
        exposed: What the client calls it.
        listed: What the client is told of it: the definition as it came, under the exposed name.
        annotations: What a tool says of itself.
        fingerprint: That of its definition, where the policy pins the connector's tools.
        check_input: Says how arguments break a tool's schema.
        check_output: Says how a result breaks a tool's output schema, if it declares one.
        barred: Why the client is not told of it and no use of it runs, apart from what the policy says.
        reason: What kind of reason that is.
        schema: A tool's input schema, as it came.
        speech: The names that its texts speak of.

    """

    connector: str
    kind: Kind
    name: str
    exposed: str = ""
    listed: dict[str, Any] | None = field(default=None, repr=False)
    annotations: Annotations = WORST_CASE
    fingerprint: str = ""
    check_input: OutputCheck | None = field(default=None, compare=False, repr=False)
    check_output: OutputCheck | None = field(default=None, compare=False, repr=False)
    barred: BackendError | None = None
    reason: Reason = Reason.BACKEND_FAILED
    schema: dict[str, Any] | None = field(default=None, repr=False)
    speech: Speech = field(default=Speech(), repr=False)


def barred(entry: Entry, why: str, reason: Reason = Reason.BACKEND_FAILED) -> Entry:
    """Make of an entry one that only serves to say why it can't be used."""
    error = BackendError(f"this {SORTS[entry.kind].word} can't be used: {why}; do without it")
    return replace(
        entry, listed=None, check_input=None, check_output=None, schema=None, barred=error, reason=reason
    )


def read(
    policy: Policy | Layered, connector: str, kind: Kind, definition: Any, separator: str = SEPARATOR
) -> Entry | None:
    """Read one raw definition; None when it is none of its kind."""
    sort = SORTS[kind]
    try:
        sort.model.model_validate(definition, by_name=False)
        frozen = freeze(definition)
    except (ValidationError, NotJson):
        return None
    name = definition[sort.name]
    entry = Entry(
        connector,
        kind,
        name,
        exposed(connector, name, separator) if sort.name == "name" else name,
        fingerprint=fingerprint(definition) if kind == "tools" and policy.pins(connector) else "",
        speech=said(frozen),
    )
    if families := markers(policy, connector, name, frozen):
        return barred(entry, f"its description carries markers ({', '.join(families)})")
    if kind == "tools":
        return _tool(entry, definition)
    return replace(entry, listed=_renamed(entry, definition))


def markers(policy: Policy | Layered, connector: str, name: str, text: Json) -> Iterable[str]:
    """Screen all that a client would read of something: its names, descriptions and schemas."""
    screened = policy.screen(ToolCall.of(connector, name, {}), ToolOutput(text))
    if screened.action is Action.PASS:
        return ()
    return sorted({finding.family for finding in screened.findings})


def permitted(policy: Policy | Layered, entry: Entry) -> bool:
    """Say whether some use of an entry could run: what a list may show."""
    sort = SORTS[entry.kind]
    if not sort.message:
        return policy.permits(entry.connector, entry.name, entry.annotations, entry.fingerprint)
    known = {sort.argument: entry.name} if sort.argument else {}
    return policy.permits(entry.connector, sort.message, known=known)


def _tool(entry: Entry, definition: dict[str, Any]) -> Entry:
    if is_message(entry.name):
        return barred(entry, "it is named like a message of the protocol, which has rules of its own")
    schema = definition["inputSchema"]
    if is_bomb(schema) or is_bomb(definition.get("outputSchema")):
        return barred(entry, "its schema would take too long to check")
    try:
        check_input = json_schema(schema)
        check_output = _structured(definition.get("outputSchema"))
    except ValueError:
        return barred(entry, "its schema is none that can be checked here")
    listed = _renamed(entry, definition)
    how = listed.get("execution")
    if isinstance(how, dict) and "taskSupport" in how:  # tasks are not proxied, so no tool may offer them
        listed["execution"] = {**how, "taskSupport": "forbidden"}
    return replace(
        entry,
        listed=listed,
        annotations=annotations(definition),
        check_input=check_input,
        check_output=check_output,
        schema=schema,
    )


def _renamed(entry: Entry, definition: dict[str, Any]) -> dict[str, Any]:
    return {**definition, SORTS[entry.kind].name: entry.exposed}


_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def annotations(definition: Mapping[str, Any]) -> Annotations:
    """Read a tool's hints; one that is missing means MCP's default for it, which is the worst case."""
    hints = definition.get("annotations")
    given = hints if isinstance(hints, Mapping) else {}
    stated = {name: given[name] for name in _HINTS if isinstance(given.get(name), bool)}
    return Annotations(
        read_only=stated.get("readOnlyHint", WORST_CASE.read_only),
        destructive=stated.get("destructiveHint", WORST_CASE.destructive),
        idempotent=stated.get("idempotentHint", WORST_CASE.idempotent),
        open_world=stated.get("openWorldHint", WORST_CASE.open_world),
        stated=frozenset(stated),
    )


def _structured(schema: dict[str, Any] | None) -> OutputCheck | None:
    """Check a whole result against the schema of its structured content, unless it reports a failure."""
    if schema is None:
        return None
    check: Callable[[Json], str | None] = json_schema(schema)

    def structured(result: Json) -> str | None:
        if not isinstance(result, Mapping) or result.get("isError") is True:
            return None
        if "structuredContent" not in result:
            return "the tool declares an output schema and gave no structured content"
        return check(result["structuredContent"])

    return structured
