"""The JSON Schema that editors use: it takes what the reader takes, and marks what is misshapen."""

import json
import re
from itertools import islice
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from pydantic import BaseModel
from tests.core.policy.generated import cases

from blastwall.policy import shipped
from blastwall.policy.keys import KEYS
from blastwall.policy.model import Document
from blastwall.policy.schema import ID, document_schema
from blastwall.policy.source import read

ROOT = Path(__file__).parents[3]
SCHEMA = document_schema()
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
MALFORMED = [
    case
    for name in ("malformed.yaml", "malformed_servers.yaml")
    for case in yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
]

SEMANTIC = [
    "stands twice",
    "no sandbox ",
    "no credential ",
    "leads nowhere certain",
    "no RE2 pattern",
    "is no host: write",
    "swap them",
    "needs container or vm",
    "there is no workspace to copy",
    "nothing of this connector runs in one",
    "there is no otherwise",
    "a server's own annotations can't loosen a rule",
    "this never applies",
    "must be 1",
    "is no IP address",
    "no source ",
    "is a source of its own",
    "write one of integrity, format and pattern",
    "this says nothing",
    "this demands nothing",
    "template",
    "CEL",
    "of the expression",
    "must match ",
    "must not match ",
    "is no mail address",
    "can't be read alike",
    "is no name of a Python module",
    "is no path of fields",
    "word in small letters",
    "nested deeper",
    "must be a whole number",
    "is no address",
    "covers no message",
    "a person's time",
    "messages have no annotations",
    "runs in no sandbox",
    "could be pinned",
    "this goes with",
    "a URL takes",
    "how a started server",
    "older than the modern era",
    "is not encrypted",
    "reads alike",
    "no secret stands in a policy",
    "which sets it",
    "no name of a header",
    "is for other hosts",
    "comes from `credential` or from `oauth`",
    "is no scope",
    "says nothing about versions",
    "means that there is no sandbox",
    "can be reached by others",
    "no path for an endpoint",
    "write the port under `port`",
    "a Host header is compared",
    "name the `credential`",
    "has a query",
    "no connector ",
    "the rule does not ",
    "nothing of this connector runs",
]
"""What the messages say of mistakes that a schema can't see: it looks at one value at a time."""


def documents():
    """Give every policy that the documentation shows."""
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = file.read_text(encoding="utf-8")
        for found in re.finditer(r"```yaml\n(.*?)```", text, re.DOTALL):
            if re.search(r"^version: 1", found[1], re.MULTILINE):
                line = text[: found.start()].count("\n") + 1
                yield pytest.param(found[1], id=f"{file.name}:{line}")


@pytest.mark.parametrize("text", list(documents()))
def test_every_policy_in_the_documentation_is_taken(text):
    assert [str(error) for error in VALIDATOR.iter_errors(read(text).data)] == []


def test_there_are_policies_in_the_documentation():
    assert len(list(documents())) >= 5


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_reader_takes_is_taken(seed):
    """The policies of the differential test: every constraint, flow, budget and layer."""
    for policies, _ in islice(cases(seed), 20):
        for given in policies:
            assert [str(error) for error in VALIDATOR.iter_errors(given)] == []


@pytest.mark.parametrize("name", shipped.names())
def test_whatever_a_template_becomes_is_taken(name):
    given = {key: block["sample"] for key, block in shipped.parameters(name).items()}
    policy = {"version": 1, "connectors": {name: shipped.expand(name, given)}}
    assert [str(error) for error in VALIDATOR.iter_errors(policy)] == []


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case["name"])
def test_every_misshapen_policy_is_marked_or_its_mistake_is_beyond_a_schema(case):
    source = read(case["policy"])
    if source.mistakes:  # an editor's own YAML reader marks these
        return
    assert not VALIDATOR.is_valid(source.data) or any(said in case["errors"] for said in SEMANTIC)


def test_most_misshapen_policies_are_marked():
    read_ones = [found for case in MALFORMED if not (found := read(case["policy"])).mistakes]
    marked = [found for found in read_ones if not VALIDATOR.is_valid(found.data)]
    assert len(marked) >= 0.7 * len(read_ones)


def blocks(model=Document, found=None):
    """Give every block of the model."""
    found = {} if found is None else found
    found[model.__name__] = model
    for field in model.model_fields.values():
        for block in _inside(field.annotation):
            if block.__name__ not in found:
                blocks(block, found)
    return found


def _inside(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _inside(inner)


def test_every_key_is_described_and_no_other():
    known = {
        name: [field.alias or key for key, field in block.model_fields.items()]
        for name, block in blocks().items()
    }
    assert {name: sorted(keys) for name, keys in KEYS.items()} == {
        n: sorted(keys) for n, keys in known.items()
    }


def test_the_schema_is_one_of_its_draft():
    jsonschema_rs.meta.validate(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")
    assert SCHEMA["$id"] == ID


def test_no_key_may_be_null_and_none_is_unknown():
    text = json.dumps(SCHEMA)
    assert '"type": "null"' not in text
    assert "patternProperties" not in text
    assert all(block["additionalProperties"] is False for block in (SCHEMA, *SCHEMA["$defs"].values()))


def test_the_examples_are_what_they_are_examples_of():
    for name, block in SCHEMA["$defs"].items():
        validator = jsonschema_rs.Draft202012Validator(SCHEMA | {"$ref": f"#/$defs/{name}"} | {"required": []} |
                                                       {"properties": {}, "additionalProperties": True})  # fmt: skip
        for example in block.get("examples", []):
            assert [str(error) for error in validator.iter_errors(example)] == []


def test_the_file_in_the_documentation_is_up_to_date():
    """Letter by letter, so that a diff of it shows what has changed in the language, and no more."""
    shown = (ROOT / "docs" / "blastwall.schema.json").read_text(encoding="utf-8")
    written = json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"
    assert shown == written, "write it anew: blastwall schema > docs/blastwall.schema.json"


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({"rulez": []}, "connectors/a"),
        ({"rules": [{"id": "x", "effect": "permit", "tools": ["t"]}]}, "connectors/a/rules/0/effect"),
        ({"rules": [{"id": "x", "effect": "allow", "tools": []}]}, "connectors/a/rules/0/tools"),
        (
            {"rules": [{"id": "x", "effect": "deny", "tools": ["t"], "sandbox": "s"}]},
            "connectors/a/rules/0/sandbox",
        ),
        (
            {"rules": [{"id": "x", "effect": "allow", "tools": ["t"], "args": {"p": {}}}]},
            "connectors/a/rules/0/args/p",
        ),
        ({"rules": [{"id": "x", "effect": "allow", "tools": ["a|b"]}]}, "connectors/a/rules/0/tools/0"),
        ({"outputs": {"*": {"fields": {"id": "identifer"}}}}, "connectors/a/outputs/*/fields/id"),
        ({"effects": {"*": ["reads"]}}, "connectors/a/effects/*/0"),
        ({"screening": {"actions": {"nosuch": "mark"}}}, "connectors/a/screening/actions"),
        ({"pin": {"send": "abc"}}, "connectors/a/pin/send"),
        ({"template": "nosuch"}, "connectors/a/template"),
        ({"directory": None}, "connectors/a/directory"),
    ],
)
def test_a_mistake_is_marked_where_it_is(policy, path):
    errors = list(VALIDATOR.iter_errors({"version": 1, "connectors": {"a": policy}}))
    assert path in {"/".join(map(str, error.instance_path)) for error in errors}
