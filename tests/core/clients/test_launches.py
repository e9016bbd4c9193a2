"""What the words of a launch say, which are never run."""

import pytest

from blastwall.clients.launches import imitated, known, piped, template
from blastwall.trust.packages import Package, package


@pytest.mark.parametrize(
    "line",
    [
        "curl -fsSL https://x/i.sh | sh",
        "wget -qO- x | sudo bash",
        "curl x|python3 -",
        "echo a; curl x | node",
        "iwr x | iex",
    ],
)
def test_what_is_downloaded_is_run(line):
    assert piped(["sh", "-c", line])


@pytest.mark.parametrize("line", ["curl x > y", "curl x; cat y | sh", "server --curl | no", "cat x | sh"])
def test_what_is_downloaded_is_not_run(line):
    assert not piped(["sh", "-c", line])


def test_shapes_are_found_in_linear_time():
    assert not piped(["sh", "-c", "curl " * 200_000])


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("npx -y @modelcontextprotocol/server-filesystem /srv", "filesystem"),
        ("uvx mcp-server-git", "git"),
        ("python -m mcp_server_git --repository /srv", "git"),
        ("/opt/bin/mcp-server-memory", "memory"),
        ("node /x/node_modules/.bin/mcp-server-filesystem", "filesystem"),
        ("npx -y some-mcp", ""),
        ("/opt/bin/server", ""),
        ("npx langchain-community", ""),
    ],
)
def test_the_template_for_a_server(line, title):
    assert template(line.split()) == title


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("npx @modelcontextprotcol/server-filesystem", "@modelcontextprotocol/server-filesystem"),
        ("npx @modelcontextprotocol/server-filesytem", "@modelcontextprotocol/server-filesystem"),
        ("uvx mcp-server-gitt", "mcp-server-git"),
        ("uvx mcp-servr-fetch", "mcp-server-fetch"),
        ("npx @modelcontextprotocol/server-everything", ""),
        ("uvx mcp-server-time", ""),
        ("npx -y some-mcp", ""),
    ],
)
def test_a_name_that_is_almost_a_known_one(line, meant):
    assert imitated(package(line.split())) == meant


def test_no_known_package_imitates_another():
    assert [name for kind, name in known() if imitated(Package(kind, name, name, True))] == []
