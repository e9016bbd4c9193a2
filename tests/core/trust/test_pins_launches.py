"""What is started: programs, scripts, modules and packages, told by their files and never by running them."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from blastwall.profiles import Server
from blastwall.trust.launches import launch


def sha256(file):
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def program(file, content="#!/bin/sh\n"):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    file.chmod(0o755)
    return file


def told(*command, **server):
    return dict(launch(Server(command=tuple(map(str, command)), **server)).told)


def test_a_program_is_told_by_its_content(tmp_path):
    server = program(tmp_path / "server")
    found = told(server, "--flag")
    assert found == {"command": (str(server), "--flag"), "program": str(server), "sha256": sha256(server)}
    server.write_text("#!/bin/sh\n# other\n")
    assert told(server, "--flag")["sha256"] == sha256(server) != found["sha256"]


def test_a_program_is_found_on_the_path_of_the_server(tmp_path, monkeypatch):
    server = program(tmp_path / "bin" / "server")
    assert told("server")["program"] is None
    assert told("server", env=(("PATH", str(server.parent)),))["program"] == str(server)
    monkeypatch.setenv("PATH", str(server.parent))
    assert told("server")["program"] == str(server)


def test_a_relative_program_starts_from_the_servers_folder(tmp_path):
    server = program(tmp_path / "bin" / "server")
    assert told("bin/server", directory=tmp_path)["program"] == str(server)
    assert told("bin/none", directory=tmp_path)["program"] is None


@pytest.fixture
def package(tmp_path):
    """A Node package as npm installs it."""
    folder = tmp_path / "node_modules"
    script = program(folder / "@acme" / "server" / "dist" / "index.js", "#!/usr/bin/env node\n")
    (folder / "@acme" / "server" / "package.json").write_text('{"name": "@acme/server", "version": "1.2.3"}')
    (folder / ".bin").mkdir()
    link = folder / ".bin" / "acme-server"
    link.symlink_to("../@acme/server/dist/index.js")
    return link, script


def test_a_link_to_a_script_leads_to_the_script_and_its_package(package):
    link, script = package
    found = told(link)
    assert (found["program"], found["sha256"], found["version"]) == (str(script), sha256(script), "1.2.3")


def test_a_script_of_an_interpreter_is_told_as_well(package, tmp_path):
    link, script = package
    node = program(tmp_path / "bin" / "node")
    found = told(node, "--no-warnings", "-r", "x", link, "argument.js")
    assert (found["program"], found["entry"], found["entry_sha256"], found["version"]) == (
        str(node),
        str(script),
        sha256(script),
        "1.2.3",
    )
    relative = told(node, "dist/index.js", directory=script.parents[1])
    assert relative["entry"] == str(script)


@pytest.mark.parametrize("words", [("-e", "code"), ("-c", "code"), ("none.js",), (), ("--flag",)])
def test_an_interpreter_without_a_script(tmp_path, words):
    assert "entry" not in told(program(tmp_path / "node"), *words)


@pytest.mark.parametrize("manifest", ["{", "[]", '{"version": 1}', "[" * 100_000])
def test_a_package_without_a_version(package, manifest):
    link, script = package
    (script.parents[1] / "package.json").write_text(manifest)
    assert told(link)["version"] is None


@pytest.fixture
def environment(tmp_path):
    """A Python environment with one installed server."""
    python = tmp_path / "env" / "bin" / "python"
    library = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    (library / "acme_server").mkdir(parents=True)
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    (library / "acme_server" / "__init__.py").write_text("raise SystemExit('it was run')")
    (library / "acme_server" / "__main__.py").write_text("raise SystemExit('it was run')")
    (library / "single.py").write_text("raise SystemExit('it was run')")
    (library / "acme_server-2.0.dist-info").mkdir()
    (library / "acme_server-2.0.dist-info" / "METADATA").write_text("Name: acme-server\nVersion: 2.0\n")
    return python, library


def test_a_module_is_found_in_the_environment_of_its_python(environment):
    python, library = environment
    found = told(python, "-X", "dev", "-m", "acme_server", "--flag")
    assert found["program"] == os.path.realpath(sys.executable)
    assert found["entry"] == str(library / "acme_server" / "__main__.py")
    assert found["version"] == "2.0"
    assert told(python, "-m", "single")["entry"] == str(library / "single.py")
    assert told(python, "-m", "json")["entry"].endswith("json/__init__.py")


def test_a_module_beside_the_server_comes_first(environment, tmp_path):
    python, _ = environment
    (tmp_path / "acme_server.py").write_text("")
    assert told(python, "-m", "acme_server", directory=tmp_path)["entry"] == str(tmp_path / "acme_server.py")


@pytest.mark.parametrize("module", ["", "none_such", "../acme_server", "acme_server/__main__"])
def test_a_module_that_is_not_there(environment, module):
    assert "entry" not in told(environment[0], "-m", module)


def test_a_package_without_metadata_has_no_version(environment):
    python, library = environment
    (library / "acme_server-2.0.dist-info" / "METADATA").write_text("Name: acme-server\n")
    assert told(python, "-m", "acme_server")["version"] is None
    (library / "acme_server-2.0.dist-info" / "METADATA").unlink()
    assert "version" not in told(python, "-m", "acme_server")


def test_what_pip_wrote_leads_to_what_it_imports(environment):
    python, library = environment
    script = program(
        python.parent / "acme-server",
        f"#!{python}\nimport sys\nfrom acme_server import main\nif __name__ == '__main__':\n    sys.exit(main())\n",
    )
    found = told(script)
    assert found["program"] == str(script)
    assert found["entry"] == str(library / "acme_server" / "__main__.py")
    assert found["version"] == "2.0"
    program(script, f"#!{python}\nfrom none_such import main\n")
    assert "entry" not in told(script)


@pytest.mark.parametrize(
    ("command", "package", "exact"),
    [
        (["npx", "-y", "@acme/server", "dir"], "@acme/server", False),
        (["npx", "-y", "@acme/server@1.2.3"], "@acme/server@1.2.3", True),
        (["uvx", "acme-server==2.0"], "acme-server==2.0", True),
        (["env", "A=b", "uvx", "acme-server"], "acme-server", False),
    ],
)
def test_a_package_that_is_fetched_is_told_as_it_is_named(tmp_path, command, package, exact):
    runner = program(tmp_path / command[0])
    found = told(runner, *command[1:])
    assert (found["package"], found["exact"]) == (package, exact)


@pytest.mark.parametrize("command", [["uv", "run", "server.py"], ["npx"], ["npx", "./here"]])
def test_a_runner_that_fetches_nothing(tmp_path, command):
    assert "package" not in told(program(tmp_path / command[0]), *command[1:])


def test_a_server_elsewhere_is_told_by_its_address():
    url = "https://mcp.example.com/mcp"
    assert launch(Server(url=url)).told == {"url": url}


def test_a_look_at_the_files_says_whether_they_still_stand(package, tmp_path):
    link, script = package
    node = program(tmp_path / "bin" / "node")
    found = launch(Server(command=(str(node), str(link))))
    assert found.stands()
    script.write_text("#!/usr/bin/env node\n// evil\n")
    assert not found.stands()
    again = launch(Server(command=(str(node), str(link))))
    assert again.told["entry_sha256"] == sha256(script) != found.told["entry_sha256"]
    (script.parents[1] / "package.json").write_text('{"version": "2"}')
    assert not again.stands()
    script.unlink()
    assert not found.stands()


def test_a_file_that_can_not_be_read_is_an_error(tmp_path, monkeypatch):
    server = program(tmp_path / "server")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        launch(Server(command=(str(server),)))
