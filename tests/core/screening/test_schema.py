"""Output checks made from JSON Schemas and Python types."""

import socket
import threading

import pytest
from pydantic import TypeAdapter

from blastwall.frozen import freeze
from blastwall.screening import Screening, json_schema, pydantic_type, screen
from blastwall.values import Action, ToolOutput

PERSON = {
    "type": "object",
    "properties": {"age": {"$ref": "#/$defs/age"}, "names": {"type": "array", "items": {"type": "string"}}},
    "additionalProperties": {"type": "boolean"},
    "$defs": {"age": {"type": "integer", "maximum": 150}},
}


@pytest.mark.parametrize("value", [{}, {"age": 3}, {"names": ["kim", "lee"], "vip": True}])
def test_valid_output_has_no_problem(value):
    assert json_schema(PERSON)(freeze(value)) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"age": "topsecret"}, "$.age breaks the schema's 'type'"),
        ({"age": 1234567}, "$.age breaks the schema's 'maximum'"),
        ({"names": ["kim", 7]}, "$.names[1] breaks the schema's 'type'"),
        ({"topsecret": "x"}, "$.* breaks the schema's 'type'"),
        ([], "$ breaks the schema's 'type'"),
    ],
)
def test_problem_names_path_and_keyword_and_nothing_of_the_value(value, problem):
    assert json_schema(PERSON)(freeze(value)) == problem


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "nonsense"}, r"at \$\.type: "),
        ({"properties": {"a": {"type": "nonsense"}}}, r"at \$\.properties\.a\.type: "),
        ({"$ref": "#/$defs/none"}, r"at \$: .*none"),
        ({"pattern": "(("}, r"at \$\.pattern: .*regex"),
        ({"type": float("nan")}, ""),
        ({"type": object()}, ""),
    ],
)
def test_broken_schema_is_refused_with_a_clear_message(schema, word):
    with pytest.raises(ValueError, match=rf"^this is no usable JSON Schema: {word}[^\n]*$"):
        json_schema(schema)


@pytest.fixture
def server():
    """Listen on loopback and keep whatever connects."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            try:
                while True:
                    connection, _ = listener.accept()
                    seen.append(connection)
                    connection.close()
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1], seen
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("keyword", ["$ref", "$schema"])
def test_remote_reference_is_refused_without_a_connection(server, keyword):
    port, seen = server
    with pytest.raises(ValueError, match="no usable JSON Schema"):
        json_schema({keyword: f"http://127.0.0.1:{port}/schema.json"})
    assert seen == []
    with socket.create_connection(("127.0.0.1", port)) as control:
        assert control.recv(1) == b""
    assert len(seen) == 1


def test_file_reference_is_refused(tmp_path):
    target = tmp_path / "schema.json"
    target.write_text('{"type": "string"}')
    with pytest.raises(ValueError, match="no usable JSON Schema"):
        json_schema({"$ref": target.as_uri()})


def test_standard_meta_schema_may_be_referred_to():
    check = json_schema({"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert check(freeze({"type": "string"})) is None
    assert check(freeze({"type": "nonsense"})) is not None


def test_python_type_rejects_by_raising_and_so_quarantines():
    check = pydantic_type(TypeAdapter(dict[str, list[int]]))
    assert check(freeze({"a": [1, 2]})) is None
    assert screen(ToolOutput(freeze({"a": [1]}), check=check), Screening(), "a.b").action is Action.PASS
    rejected = screen(ToolOutput(freeze({"a": ["x"]}), check=check), Screening(), "a.b")
    assert (rejected.action, rejected.value) == (Action.QUARANTINE, None)
    assert [finding.family for finding in rejected.findings] == ["schema"]
