"""What a launch would fetch: read from words that are never run."""

import pytest

from blastwall.trust.packages import package

UNPINNED = """\
npx -y @modelcontextprotocol/server-filesystem /srv
npx some-mcp@latest
npx some-mcp@^1.2.3
npx some-mcp@1
npx -y --package=some-mcp run-it
npx -p some-mcp@next run-it
npx github:acme/mcp
npx --cache dir some-mcp
npx server@1.2
bunx some-mcp
pnpm dlx some-mcp
npm exec some-mcp
/usr/local/bin/npx -y some-mcp
npx.cmd -y some-mcp
cmd /c npx -y some-mcp
env -i A=b npx -y some-mcp
sudo -E npx some-mcp
timeout 30 npx some-mcp
uvx mcp-server-git
uvx mcp-server-git@latest
uvx mcp-server-git>=2026.1
uvx --python 3.12 mcp-server-git
uvx --from git+https://github.com/acme/mcp run
uvx --from git+https://github.com/acme/mcp@main run
uv tool run mcp-server-git
pipx run mcp-server-git
pipx run --spec mcp-server-git run
docker run -i --rm -e TOKEN ghcr.io/github/github-mcp-server
docker run -i --rm --env-file x mcp/fetch:latest
docker run mcp/fetch:stable
docker run localhost:5000/mcp/fetch
podman run mcp/fetch
go run github.com/acme/mcp@latest
deno run -A npm:some-mcp
deno run --allow-net https://deno.land/x/mcp/mod.ts
""".splitlines()

PINNED = """\
npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /srv
npx some-mcp@1.2.3-beta.1
npx --package=some-mcp@1.2.3 run-it
npx git+https://github.com/acme/mcp#0123456789012345678901234567890123456789
uvx mcp-server-git==2026.10.19
uvx mcp-server-git@2026.10.19
uvx --python 3.12 --from mcp-server-git[x]==1.0 run
pipx run --spec mcp-server-git==1.0 run
uvx --from git+https://github.com/acme/mcp@0123456789012345678901234567890123456789 run
docker run -i mcp/fetch@sha256:0123
docker run -i mcp/fetch:1.2.3@sha256:0123
docker run -i localhost:5000/mcp/fetch:1.2.3
go run github.com/acme/mcp/cmd@v1.2.3
deno run npm:some-mcp@1.2.3
""".splitlines()

NOTHING = """\
/opt/tools/bin/server --port 1
node /srv/server.js
python -m mcp_server_git
npx ./local
npx
npx -p
uvx /srv/local
docker compose up
docker run
go run ./cmd
deno run server.ts
npm start
uv run server.py
""".splitlines()


@pytest.mark.parametrize("line", UNPINNED)
def test_the_newest_of_it_runs(line):
    found = package(line.split())
    assert found is not None
    assert not found.pinned


@pytest.mark.parametrize("line", PINNED)
def test_it_is_always_the_same(line):
    found = package(line.split())
    assert found is not None
    assert found.pinned


@pytest.mark.parametrize("line", NOTHING)
def test_nothing_is_fetched(line):
    assert package(line.split()) is None


def test_what_may_be_secret_in_an_address_is_no_name():
    for line in (
        "npx git+https://u:tok@github.com/acme/mcp?k=tok#main",
        "uvx --from git+https://tok@github.com/acme/mcp@tok x",
    ):
        assert package(line.split()).name == "git+https://github.com/acme/mcp"


def test_a_shell_is_looked_into():
    assert package(["sh", "-c", "npx -y some-mcp"]).name == "some-mcp"
    assert package(["bash", "-lc", "exec uvx x==1.0"]) is None
    assert package([]) is None
