"""The policy language as a JSON Schema, for editors: made of the model, so that it can't fall behind.

It is never stricter than the reader, and looser where a schema can't see: whether a name is defined elsewhere
in the file, whether two ids are the same, whether a path leads somewhere.
"""

from typing import Any

from blastwall.policy import shipped
from blastwall.policy.keys import KEYS
from blastwall.policy.messages import EFFECTS
from blastwall.policy.model import Document
from blastwall.policy.scopes import FIRST_USE
from blastwall.provenance import FORMATS
from blastwall.screening.settings import FAMILIES, FIXED

ID = "urn:blastwall:policy:1"
"""The schema's name. Nothing is fetched from it."""

_GLOB = r"^(?!mcp:)[^\[\]{}()|^$\\!]+$"
_GLOBS = r"^[^\[\]{}()|^$\\!]+(\|[^\[\]{}()|^$\\!]+)*$"
_INSIDE = r"^(?!/)(?!(?:.*/)?\.\.(?:/|$))"
_HOST = r"^[^\s/?#@\\]+$"
_URL = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@\\]+(/[^\s#]*)?$"
_WORD = {"type": "string", "minLength": 1, "pattern": r"^[^\sA-Z0-9]+( [^\sA-Z0-9]+)*$"}
_SCALAR = {"type": ["string", "number", "boolean", "null"]}

_MORE: dict[str, dict[str, dict[str, Any]]] = {
    "RuleBlock": {
        "tools": {"items": {"type": "string", "minLength": 1, "pattern": _GLOB}},
        "messages": {
            "items": {"type": "string", "minLength": 1, "pattern": _GLOB, "examples": list(EFFECTS)}
        },
    },
    "ExampleBlock": {"message": {"enum": list(EFFECTS)}},
    "Match": {"tools": {"items": {"type": "string", "minLength": 1, "pattern": _GLOB}}},
    "ConnectorBlock": {
        "effects": {"propertyNames": {"pattern": _GLOBS}},
        "outputs": {"propertyNames": {"pattern": _GLOBS}},
    },
    "Constraint": {
        "enum": {"items": _SCALAR},
        "pattern": {"format": "regex"},
        "hosts": {"items": {"type": "string", "pattern": _HOST}},
        "recipients": {"items": {"type": "string", "pattern": "@"}},
    },
    "ScreeningBlock": {"actions": {"propertyNames": {"enum": sorted(family.name for family in FAMILIES)}}},
    "FieldBlock": {"format": {"enum": list(FORMATS)}},
    "IntentBlock": {"verbs": {"items": _WORD}, "objects": {"items": _WORD}},
    "CredentialBlock": {
        "env": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "variable": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "keyring": {"minItems": 2, "maxItems": 2},
        "hosts": {"items": {"type": "string", "pattern": _HOST}},
    },
    "SandboxBlock": {
        "directory": {"pattern": _INSIDE},
        "protect": {"items": {"type": "string", "minLength": 1, "pattern": _INSIDE}},
    },
    "NetworkBlock": {
        "host": {"pattern": r"^[^\s/?#@\\:]+$"},
        "methods": {"items": {"type": "string", "pattern": "^[A-Z]+$"}},
        "paths": {"items": {"type": "string", "pattern": "^/"}},
    },
    "ServerBlock": {
        "url": {"pattern": _URL},
        "headers": {"additionalProperties": {"type": "string", "pattern": r"^[!-~]([ -~]*[!-~])?$"}},
    },
    "ProxyBlock": {"separator": {"pattern": "^[_.-]{1,3}$"}},
    "HttpBlock": {
        "host": {"pattern": _HOST},
        "path": {"pattern": "^/"},
        "hosts": {"items": {"type": "string", "pattern": _HOST}},
        "origins": {"items": {"type": "string", "pattern": r"^https?://[^/?#@\s]+$"}},
    },
    "AuthBlock": {key: {"pattern": _URL} for key in ("issuer", "audience", "jwks", "introspection")},
}
"""What the model checks in code, as far as a schema can say it."""

_ONE_OF = {
    "AuthBlock": ("jwks", "introspection"),
    "CredentialBlock": ("env", "file", "keyring", "command"),
    "ExampleBlock": ("tool", "message"),
    "RuleBlock": ("tools", "messages"),
    "ServerBlock": ("command", "url"),
}
_ANY_OF = {
    "FlowBlock": ("control", "content", "bounded", "intent"),
    "When": ("annotations", "cel"),
    "Constraint": (
        *("enum", "pattern", "minimum", "maximum", "max_length", "under", "hosts", "recipients", "max_items"),
    ),
}
_NOT_FOR_DENY = ("otherwise", "sandbox", "flow", "rate", "budget")

_EXAMPLES: dict[str, list[Any]] = {
    "RuleBlock": [
        {"id": "read", "effect": "allow", "tools": ["read_*"], "args": {"path": {"under": ["/srv/project"]}}},
        {"id": "never", "effect": "deny", "tools": ["delete_*"], "instead": "archive it"},
        {"id": "docs", "effect": "allow", "messages": ["resources/*"]},
    ],
    "CredentialBlock": [{"env": "GITHUB_TOKEN", "hosts": ["api.github.com"], "variable": "GITHUB_TOKEN"}],
    "ServerBlock": [
        {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv"]},
        {"url": "https://mcp.example.com/mcp", "credential": "example"},
    ],
    "NetworkBlock": [{"host": "pypi.org", "methods": ["GET"]}],
}

_TITLES = {"Document": "Blastwall policy", "Hints": "Annotations"}


def document_schema() -> dict[str, Any]:
    """Give the JSON Schema of a policy file, draft 2020-12."""
    made = Document.model_json_schema(by_alias=True)
    blocks = made.pop("$defs")
    for name, block in blocks.items():
        _describe(name, block)
    _describe("Document", made)
    blocks["RuleBlock"] |= {
        "if": {"properties": {"effect": {"const": "deny"}}, "required": ["effect"]},
        "then": {"properties": dict.fromkeys(_NOT_FOR_DENY, False)},
    }
    blocks["OutputBlock"]["properties"]["fields"]["additionalProperties"] = {
        "anyOf": [{"enum": ["external", "internal", *FORMATS]}, {"$ref": "#/$defs/FieldBlock"}]
    }
    blocks["ConnectorBlock"]["properties"]["template"] |= {"enum": list(shipped.names())}
    pins = {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}
    pin = blocks["ConnectorBlock"]["properties"]["pin"]
    blocks["ConnectorBlock"]["properties"]["pin"] = {
        "if": {"type": "string"},
        "then": {"const": FIRST_USE},
        "else": pins,
        "title": pin["title"],
        "description": pin["description"],
    }
    blocks["SandboxBlock"]["properties"]["profile"] |= {"enum": list(shipped.profiles())}
    actions = blocks["ScreeningBlock"]["properties"]["actions"]
    actions["properties"] = {family: {"const": "quarantine"} for family in sorted(FIXED)}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": ID}
    return head | made | {"$defs": blocks}


def _describe(name: str, block: dict[str, Any]) -> None:
    """Add titles, descriptions and what the model checks in code; take off what pydantic adds."""
    block["title"] = _TITLES.get(name, name.removesuffix("Block"))
    block["description"] = " ".join(block["description"].split())
    for key, schema in block["properties"].items():
        written = _plain(schema) | _MORE.get(name, {}).get(key, {})
        block["properties"][key] = written | {"title": key, "description": KEYS[name][key]}
    if name in _EXAMPLES:
        block["examples"] = _EXAMPLES[name]
    if name in _ONE_OF:
        block["oneOf"] = [{"required": [key]} for key in _ONE_OF[name]]
    if name in _ANY_OF:
        block["anyOf"] = [{"required": [key]} for key in _ANY_OF[name]]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Take off the null that stands for an absent key, and defaults that say nothing."""
    kept = {key: value for key, value in schema.items() if key != "title"}
    choices = [choice for choice in kept.pop("anyOf", ()) if choice != {"type": "null"}]
    for choice in choices:
        kept |= choice
    if not kept.get("default", True) or isinstance(kept.get("default"), dict):
        del kept["default"]
    for pattern, inner in kept.pop("patternProperties", {}).items():
        kept["additionalProperties"] = inner
        kept["propertyNames"] = {"pattern": pattern} | kept.get("propertyNames", {})
    return kept
