"""Where servers are and what clients of the proxy see: written in the file, compiled to values."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from tests.core.policies import policy

from blastwall.errors import PolicyError
from blastwall.policy import Layered
from blastwall.values import Auth, Front, Http, OAuth, Server, Strength

CREDENTIALS = {"key": {"env": "KEY", "hosts": ["api.example.com", "*.corp.example", "localhost:8080"]}}


def server(**block):
    content = {"version": 1, "connectors": {"it": {"server": block}}, "credentials": CREDENTIALS}
    return policy(content).servers["it"]


def wrong(**block):
    with pytest.raises(PolicyError) as caught:
        server(**block)
    return str(caught.value)


def front(**block):
    return policy({"version": 1, "connectors": {"a": {}}, "proxy": block, "credentials": CREDENTIALS}).front


def test_a_server_behind_a_url_is_compiled_with_all_its_keys():
    found = server(
        url="https://api.example.com/mcp",
        transport="sse",
        era="legacy",
        headers={"X-Team": "blue"},
        credential="key",
        version=">=1.2,<2",
        start_s=5,
        call_s=6,
        idle_s=7,
    )
    assert found == Server(
        url="https://api.example.com/mcp",
        transport="sse",
        era="legacy",
        headers=(("X-Team", "blue"),),
        credential="key",
        version=">=1.2,<2",
        start_s=5,
        call_s=6,
        idle_s=7,
    )


def test_the_defaults_of_a_url_and_of_a_command():
    assert server(url="https://x.example") == Server(url="https://x.example", transport="http")
    plain = Server(("x", "y"), (("A", "b"),))
    assert server(command="x", args=["y"], env={"A": "b"}, sandbox="none") == plain


def test_a_command_runs_in_a_sandbox_unless_the_policy_says_otherwise():
    found = server(command="x")
    assert found.program_readable
    assert found.profile is not None
    assert (found.profile.strength, found.profile.network, found.profile.workspace) == (Strength.OS, (), None)
    assert server(command="x", sandbox="none") == Server(("x",))
    assert server(url="https://x.example").profile is None


def test_the_client_flow_of_a_server():
    assert server(url="https://x.example", oauth={}).oauth == OAuth()
    asked = server(url="https://x.example", oauth={"scopes": ["a", "b:c"], "client_id": "me"}).oauth
    assert asked == OAuth(("a", "b:c"), "me")


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8080/mcp", "https://x.example/a?to=https://y.example", "http://127.0.0.1:3000/mcp", "http://[::1]:3000/mcp", "http://it.localhost/x", "https://x.example:8443/a?b=c"],
)  # fmt: skip
def test_what_is_encrypted_or_never_leaves_the_machine_is_taken(url):
    assert server(url=url).url == url


@pytest.mark.parametrize(
    "url", ["http://10.0.0.7/mcp", "http://mcp.internal/mcp", "http://localhost.evil.test/"]
)
def test_another_host_in_clear_must_be_named_private(url):
    assert "is not encrypted" in wrong(url=url)
    assert server(url=url, private=True).private


@pytest.mark.parametrize(
    "url", ["https://api.example.com/x", "https://a.corp.example/", "http://localhost:8080/mcp"]
)
def test_a_credential_goes_to_its_own_hosts(url):
    assert server(url=url, credential="key").credential == "key"


def test_a_url_with_a_password_is_not_repeated():
    assert "hunter2" not in wrong(url="https://me:hunter2@api.example.com/mcp")


@pytest.mark.parametrize(
    "name",
    ["authorization", "Proxy-Authorization", "COOKIE", "X-Auth-Token", "X-Api-Key", "apikey", "X-Secret", "X-Session"],
)  # fmt: skip
def test_no_secret_stands_among_headers(name):
    assert "name a `credential`" in wrong(url="https://api.example.com/", headers={name: "x"})


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Mcp-Session-Id", "MCP-Protocol-Version", "Origin", "TE"]
)
def test_no_header_of_the_protocol_is_set_by_hand(name):
    assert "belongs to the protocol" in wrong(url="https://api.example.com/", headers={name: "x"})


@given(st.text("0123456789.,*<>=!~ abcrv+-dev", max_size=14))
def test_versions_that_are_taken_are_ones_that_can_be_compared(text):
    try:
        found = server(command="x", version=text).version
    except PolicyError:
        return
    assert SpecifierSet(found) is not None


@pytest.mark.parametrize(
    "text", [">=1.2,<2", "==1.4.*", "~=1.2", "!=1.0", "== 1.0+local.1", ">1.0a1", "<=2!1.0.post1"]
)
def test_ordinary_versions_are_taken(text):
    assert server(command="x", version=text).version == text


# --- The front ------------------------------------------------------------------------------------------


def test_without_a_word_the_front_is_the_usual_one():
    assert policy({"version": 1, "connectors": {"a": {}}}).front == Front("__", "auto", None)
    assert front(http={}).http == Http()


def test_the_front_is_compiled_with_all_its_keys():
    auth = {
        "issuer": "https://i.example",
        "audience": "https://m.example/mcp",
        "introspection": "https://api.example.com/ask",
        "credential": "key",
        "algorithms": ["ES256"],
        "required": ["mcp"],
        "scopes": {"read": {"a": ["get_*", "mcp:resources/*"]}},
    }
    http = {
        "host": "0.0.0.0",
        "port": 9000,
        "path": "/a/mcp",
        "hosts": ["m.example"],
        "origins": ["https://app.example", "http://localhost:3000"],
        "max_body_kb": 1,
        "max_sessions": 2,
        "session_idle_s": 3,
        "auth": auth,
    }
    assert front(separator="-", era="modern", http=http) == Front(
        "-",
        "modern",
        Http(
            host="0.0.0.0",
            port=9000,
            path="/a/mcp",
            hosts=("m.example",),
            origins=("https://app.example", "http://localhost:3000"),
            max_body_kb=1,
            max_sessions=2,
            session_idle_s=3,
            auth=Auth(
                "https://i.example",
                "https://m.example/mcp",
                introspection="https://api.example.com/ask",
                credential="key",
                algorithms=("ES256",),
                required=("mcp",),
                scopes={"read": {"a": ("get_*", "mcp:resources/*")}},
            ),
        ),
    )


@pytest.mark.parametrize("separator", ["_", ".", "-", "__", "--", "_._", "..."])
def test_separators_keep_names_plain(separator):
    assert front(separator=separator).separator == separator


def test_keys_on_a_network_of_your_own():
    auth = {"issuer": "http://10.0.0.1", "audience": "http://10.0.0.2/mcp", "jwks": "http://10.0.0.1/k"}
    assert front(http={"auth": auth | {"private": True}}).http.auth.private
    with pytest.raises(PolicyError) as caught:
        front(http={"auth": auth})
    assert [problem.path.rpartition(".")[2] for problem in caught.value.problems] == [
        "issuer",
        "audience",
        "jwks",
    ]


def test_tokens_are_proved_in_one_way_only():
    auth = {"issuer": "https://i.example", "audience": "https://m.example/mcp"}
    found = front(http={"auth": auth | {"jwks": "https://i.example/k"}}).http.auth
    assert (found.jwks, found.introspection, found.credential) == ("https://i.example/k", "", "")
    asked = {"introspection": "https://i.example/ask", "credential": "idp"}
    content = {"version": 1, "connectors": {"a": {}}, "proxy": {"http": {"auth": auth | asked}}}
    content["credentials"] = {"idp": {"env": "IDP", "hosts": ["i.example"]}}
    found = policy(content).front.http.auth
    assert (found.jwks, found.introspection, found.credential) == ("", "https://i.example/ask", "idp")


def test_a_scope_may_speak_of_every_connector():
    auth = {"issuer": "https://i.example", "audience": "https://m.example/mcp", "jwks": "https://i.example/k"}
    scopes = {"all": {"*": ["*"]}}
    assert front(http={"auth": auth | {"scopes": scopes}}).http.auth.scopes == {"all": {"*": ("*",)}}
    content = {"version": 1, "connectors": {"*": {}}, "proxy": {"http": {"auth": auth | {"scopes": {"a": {"any": ["*"]}}}}}}  # fmt: skip
    assert policy(content).front.http.auth.scopes == {"a": {"any": ("*",)}}


def test_no_layer_changes_the_front():
    first = policy({"version": 1, "connectors": {"a": {}}, "proxy": {"separator": "-"}})
    second = policy({"version": 1, "connectors": {"a": {}}, "proxy": {"separator": "."}})
    assert Layered(first, (second,)).front.separator == "-"


@pytest.mark.parametrize("key", ["http", "auth", "scopes", "hosts", "host", "origins", "separator"])
@pytest.mark.parametrize("value", [7, "x", [], [7], {}, {"a": 7}, None, True])
def test_whatever_stands_there_is_a_front_or_a_policy_error(key, value):
    auth = {"issuer": "https://i.example", "audience": "https://m.example/mcp", "jwks": "https://i.example/k"}
    block = {
        "http": {"http": value},
        "auth": {"http": {"auth": value}},
        "scopes": {"http": {"auth": auth | {"scopes": value}}},
        "separator": {"separator": value},
    }.get(key, {"http": {key: value}})
    try:
        front(**block)
    except PolicyError as error:
        assert error.problems


@pytest.mark.parametrize("key", ["url", "headers", "credential", "oauth", "transport", "private"])
@pytest.mark.parametrize("value", [7, "x", "a b", [], {}, {"a": 7}, None, True])
def test_whatever_stands_in_a_server_is_one_or_a_policy_error(key, value):
    for credentials in (
        CREDENTIALS,
        {"x": value},
        {"x": {"env": "A", "hosts": value}},
        {"x": {"env": "A", "hosts": ["/", 7]}},
    ):
        block = {"url": "https://api.example.com", key: value}
        content = {"version": 1, "connectors": {"it": {"server": block}}, "credentials": credentials}
        try:
            policy(json.dumps(content), Path("/home"))
        except PolicyError as error:
            assert error.problems
