"""What the tools of several servers could do together."""

from blastwall.clients.legs import HARM, OUT, OUTSIDE, PRIVATE, reach, together
from blastwall.clients.servers import Configured
from blastwall.clients.starting import Listed
from blastwall.policy.shipped import names

LOCAL = {"readOnlyHint": True, "openWorldHint": False}
WEB = {"readOnlyHint": True, "openWorldHint": True}
ADDRESS: dict[str, object] = {"inputSchema": {"properties": {"URL": {}}}}


def at(name, *command, client="cursor"):
    return Configured(client, "f", 1, name, ("mcpServers",), "", "stdio", command or ("/opt/x",))


def tool(name, annotations=None, **more):
    return {"name": name, **({"annotations": annotations} if annotations is not None else {}), **more}


def legs(annotations, **more):
    return set(reach(at("s"), Listed((tool("t", annotations, **more),))).legs)


def test_legs_by_what_a_server_says_itself():
    assert legs(LOCAL) == {PRIVATE}
    assert legs(WEB) == {OUTSIDE}
    assert legs(WEB, **ADDRESS) == {OUTSIDE, OUT}
    assert legs({"readOnlyHint": False, "openWorldHint": True, "destructiveHint": False}) == {OUTSIDE, OUT}
    assert legs({"destructiveHint": True, "openWorldHint": False}) == {HARM}
    assert legs({"idempotentHint": True}) == set()
    assert legs("odd") == set()
    assert legs(WEB, inputSchema={"properties": []}) == {OUTSIDE}


def test_legs_by_a_template():
    tools = [
        tool("read_text_file"),
        tool("write_file", {"destructiveHint": True}),
        tool("list_directory", LOCAL),
    ]
    found = reach(at("f", "npx", "@modelcontextprotocol/server-filesystem"), Listed(tuple(tools)))
    assert found.legs[PRIVATE] == ("read_text_file", "list_directory")
    assert found.legs[HARM] == ("write_file",)
    assert OUT not in found.legs
    fetched = reach(at("w", "uvx", "mcp-server-fetch"), Listed((tool("fetch", **ADDRESS),)))
    assert set(fetched.legs) == {OUTSIDE, OUT}


def test_every_template_can_be_asked():
    from blastwall.clients.legs import _connector

    assert all(_connector(name).effect_of for name in names())


def test_three_legs_make_a_way_out():
    private = reach(at("notes"), Listed((tool("read", LOCAL),)))
    outside = reach(at("web"), Listed((tool("search", WEB), tool("get", WEB, **ADDRESS))))
    (found,) = together([private, outside])
    assert found.code == "toxic-combination"
    assert found.message == (
        "a text from outside could make an agent send what is private out: "
        "private data by notes (read); outside text by web (search, get); a way out by web (get)"
    )
    assert list(together([private])) == []
    elsewhere = reach(at("web", client="zed"), Listed((tool("get", WEB, **ADDRESS),)))
    assert list(together([private, elsewhere])) == []


def test_outside_text_and_harm():
    web = reach(at("web"), Listed((tool("search", WEB),)))
    shell = reach(at("sh"), Listed(tuple(tool(f"t{i}", {"destructiveHint": True}) for i in range(5))))
    (found,) = together([web, shell])
    assert found.message.endswith("do harm: outside text by web (search); harm by sh (t0, t1, t2 and 2 more)")


def test_tools_that_nobody_describes():
    (found,) = together([reach(at("s"), Listed((tool("a"), tool("b", {}))))])
    assert (found.code, found.server) == ("undescribed", "s")
    assert found.message.endswith("they may do anything: a, b")
