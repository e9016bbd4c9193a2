"""`blastwall trust` as its user meets it, and which policy the other verbs go by."""

import importlib
import json
import os
import pty
import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from blastwall import policyfile
from blastwall.cli.output import SCHEMA
from blastwall.cli.policies import in_force, looked_at, policy_or_stop
from blastwall.policy import Layered
from blastwall.trust.projects import ProjectFile, user_policy
from blastwall.trust.reading import read_untrusted
from blastwall.trust.store import Store

POLICY = """\
version: 1
connectors:
  notes:
    server: {command: serve-notes, args: [--all], env: {A: "${HOME}"}}
    rules:
      - {id: read, effect: allow, tools: [read], args: {path: {pattern: "[a-z]+"}}}
      - {id: write, effect: ask, tools: [write, move]}
      - {id: no, effect: deny, tools: ["*"]}
"""
OWN = "version: 1\nconnectors: {notes: {rules: [{id: a, effect: allow, tools: ['*']}]}}\n"

verb = importlib.import_module("blastwall.cli.trust")  # the package has the verb itself by this name
app = typer.Typer()
app.command()(verb.trust)


def trust(*words, **options):
    return CliRunner().invoke(app, words, **options)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A repository in the user's home, with a policy, and the user in it."""
    home = tmp_path.resolve() / "home"
    project = home / "project"
    (project / ".git").mkdir(parents=True)
    (project / "blastwall.yaml").write_text(POLICY)
    monkeypatch.setattr(policyfile, "ORGANISATION", tmp_path / "nowhere")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def file(project):
    return project / "blastwall.yaml"


@pytest.fixture
def own(project):
    """The user's own policy."""
    user_policy().parent.mkdir(parents=True)
    user_policy().write_text(OWN)
    return user_policy()


@pytest.fixture
def answering(monkeypatch):
    """A terminal, whose user answers."""

    def answering(answer):
        monkeypatch.setattr(verb, "_attended", lambda: True)
        return {"input": f"{answer}\n"}

    return answering


def trusted(file):
    return Store().trusted(read_untrusted(file, file.parent))


def told(result):
    body = json.loads(result.stdout)
    assert body.pop("schema") == SCHEMA
    return body


# --- asking ---------------------------------------------------------------------------------------------


def test_it_shows_the_file_and_what_it_means_and_asks(file, answering):
    result = trust(**answering("y"))
    assert result.exit_code == 0, result.output
    digest = read_untrusted(file, file.parent).digest
    assert [line for line in result.stdout.splitlines() if line != " y"] == [
        str(file),
        *[f"{number:>4}  {line}" for number, line in enumerate(POLICY.splitlines(), 1)],
        f"SHA-256 {digest}",
        "- starts serve-notes --all for notes, in the default sandbox",
        "-   with A=${HOME}",
        "- allows read of notes within limits",
        "- asks for write, move of notes",
        "- denies * of notes",
        f"{file} is trusted",
    ]
    assert trusted(file)


@pytest.mark.parametrize("answer", ["n", "", "maybe\nn"])
def test_without_a_yes_nothing_is_trusted(file, answering, answer):
    result = trust(**answering(answer))
    assert result.exit_code == 1
    assert "nothing is trusted" in result.stderr
    assert not trusted(file)


def test_where_nobody_can_answer_it_says_how_a_script_does(file):
    result = trust()
    digest = read_untrusted(file, file.parent).digest
    assert result.exit_code == 4
    assert f"--yes --digest {digest}" in result.stderr
    assert not trusted(file)


def test_a_person_is_there_when_input_is_a_terminal(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs) as terminal:
        monkeypatch.setattr(verb.sys, "stdin", terminal)
        assert verb._attended()


def test_a_change_is_shown_as_a_diff(file, answering):
    trust(**answering("y"))
    file.write_text(POLICY.replace("serve-notes", "serve-n\u043etes"))
    result = trust(**answering("n"))
    assert "-    server: {command: serve-notes" in result.stdout
    assert "+    server: {command: serve-n\\u043etes" in result.stdout
    assert "! hidden or lookalike characters are written out in line 4" in result.stdout
    assert "  version: 1" not in result.stdout.splitlines()[3:4]


def test_a_diff_takes_no_longer_than_it_may(file, answering):
    """difflib takes the cube of the number of lines, where somebody wrote them for that."""
    head, tail = ["# head"] * 3, ["# tail"] * 3
    old, new = ["a", "b", "c"] * 500, ["c", "a", "b"] * 500
    file.write_text("\n".join([*head, *old, *tail]))
    trust(**answering("y"))
    file.write_text("\n".join([*head, *new, *tail]))
    started = time.monotonic()
    lines = trust(**answering("n")).stdout.splitlines()
    assert time.monotonic() - started < 5
    assert lines[1:4] == ["--- trusted", "+++ now", "@@ line 4 @@"]
    assert [line[1:] for line in lines if line.startswith("-") and len(line) == 2] == old
    assert [line[1:] for line in lines if line.startswith("+") and len(line) == 2] == new


def test_right_to_left_letters_are_pointed_out(file, answering):
    file.write_text(POLICY + "# \u05d0\u05d1\n")
    assert "! it holds right-to-left letters" in trust(**answering("n")).stdout


def test_what_changes_while_the_user_reads_is_not_trusted(file, answering, monkeypatch):
    options = answering("y")

    def changing(*_, **__):
        file.write_text(POLICY + "# and more")
        return True

    monkeypatch.setattr(verb.typer, "confirm", changing)
    assert trust(**options).exit_code == 0
    assert not trusted(file)
    file.write_text(POLICY)
    assert trusted(file), "what was shown is what is trusted"


def test_what_is_trusted_is_not_asked_for_again(file, answering):
    trust(**answering("y"))
    result = trust()
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{file} is trusted since ")
    assert told(trust("--json"))["path"] == str(file)


def test_another_folder_in_its_place_is_asked_for_again(file, project, answering):
    trust(**answering("y"))
    project.rename(project.with_name("old"))
    project.mkdir()
    file.write_text(POLICY)
    os.chdir(project)
    result = trust(**answering("y"))
    assert "! this folder is another one than you trusted here" in result.stdout
    assert trusted(file)


def test_a_policy_with_mistakes_says_so(file, answering):
    file.write_text("version: 1\nconnectors: {a: &x {}}\n" + "".join(f"k{n}: *x\n" for n in range(20)))
    result = trust(**answering("n"))
    assert "! no policy: line 2: a YAML anchor is not allowed here: write it out" in result.stdout
    assert result.stdout.count("! no policy") == 10
    file.write_bytes(b"\xff")
    assert "this is not UTF-8 text" in trust(**answering("n")).stdout
    file.write_text("[]")
    assert "this is no policy" in trust(**answering("n")).stdout


def test_beside_the_user_s_own_it_only_takes_away(own, answering):
    shown = trust(**answering("n")).stdout
    assert "beside your own policy it can only take away, in the connectors it names: notes" in shown
    assert "starts" not in shown


def test_any_file_can_be_shown_and_trusted(project, answering):
    (project / ".mcp.json").write_text('{"mcpServers": {}}\t')
    result = trust(".mcp.json", **answering("y"))
    assert '   1  {"mcpServers": {}}\\t' in result.stdout
    assert trusted(project / ".mcp.json")


def test_a_folder_stands_for_its_policy(project, file, answering):
    os.chdir("/")
    assert trust(str(project), **answering("y")).exit_code == 0
    assert trusted(file)


def test_every_policy_of_the_project_is_asked_for(project, answering):
    deep = project / "deep"
    deep.mkdir()
    (deep / "blastwall.yaml").write_text(OWN)
    os.chdir(deep)
    answering("")
    assert trust(input="y\ny\n").exit_code == 0
    assert trusted(project / "blastwall.yaml")
    assert trusted(deep / "blastwall.yaml")


def test_an_open_door_is_told_from_one_with_a_lock(file, answering):
    file.write_text("version: 1\nproxy: {http: {host: 0.0.0.0, auth: {issuer: 'https://id.example'}}}\n")
    shown = trust(**answering("n")).stdout
    assert "- listens at 0.0.0.0 for whoever has a token of its issuer\n" in shown


def test_long_lists_are_cut(file, answering):
    rules = "".join(f"      - {{id: r{n}, effect: allow, tools: [{'x' * 200}]}}\n" for n in range(50))
    file.write_text(f"version: 1\nconnectors:\n  notes:\n    rules:\n{rules}")
    shown = trust(**answering("n")).stdout
    assert shown.count("- allows") == 40
    assert "- and more of the kind: read the file" in shown
    assert "… (" in shown


def test_all_that_a_policy_can_want_is_said(file, answering):
    file.write_text(
        "version: 1\n"
        "defaults: {enforcement: permissive, state: {directory: here}}\n"
        "connectors:\n"
        "  a: {server: {url: 'https://mcp.example'}, rules: [{id: r, messages: [resources/*]}, x]}\n"
        "  d: {server: {url: 'https://mcp.example/d', credential: k}, egress: [{host: egress.example}]}\n"
        "  e: {server: {command: free, sandbox: none}}\n"
        "  b: {server: {command: run, sandbox: box}}\n"
        "  c: 1\n"
        "proxy: {http: {}}\n"
        "credentials: {k: {env: KEY, hosts: [api.example]}, l: {command: [pass, l]}, m: {}}\n"
        "sandboxes: {box: {workspace: work, read: [/data], network: [{host: api.example}, other.example]}}\n"
    )
    shown = trust(**answering("n")).stdout
    for line in (
        "connects to https://mcp.example for a",
        "connects to https://mcp.example/d for d, with the credential k",
        "the sandboxes of d may reach egress.example",
        "starts free for e, outside of any sandbox",
        "listens at 127.0.0.1 for whoever reaches it",
        "starts run for b, in the sandbox box",
        "reads the credential k from env KEY, sent to api.example",
        "runs pass l for the credential l, sent to no host",
        "the sandbox box may write work",
        "the sandbox box may read /data",
        "the sandbox box may reach api.example",
        "the sandbox box may reach other.example",
        "says nothing of resources/* of a",
        "lets everything run that no rule denies (permissive)",
        "keeps its audit log in here",
    ):
        assert f"- {line}\n" in shown


# --- scripts ----------------------------------------------------------------------------------------------


def test_a_script_says_what_it_saw(file):
    digest = read_untrusted(file, file.parent).digest
    body = told(trust("blastwall.yaml", "--yes", "--digest", digest.upper(), "--json"))
    assert (body["path"], body["digest"]) == (str(file), digest)
    assert trusted(file)


def test_another_content_is_not_trusted_for_a_script(file):
    result = trust("--yes", "--digest", "0" * 64)
    assert result.exit_code == 1
    assert "its content is" in result.stderr
    assert not trusted(file)


@pytest.mark.parametrize("words", [["--yes"], ["--digest", "0" * 64]])
def test_yes_and_digest_go_together(words):
    assert trust(*words).exit_code == 2


def test_a_digest_is_about_one_file(project):
    (project / "deep").mkdir()
    (project / "deep" / "blastwall.yaml").write_text(OWN)
    os.chdir(project / "deep")
    assert trust("--yes", "--digest", "0" * 64).exit_code == 2


# --- what is trusted --------------------------------------------------------------------------------------


def test_what_is_trusted_is_listed_with_what_became_of_it(project, file, answering):
    trust(**answering("y"))
    for name in ("a", "b", "c"):
        (project / name).write_text(name)
        trust(name, **answering("y"))
    (project / "a").write_text("other")
    (project / "b").unlink()
    (project / "c").unlink()
    (project / "c").mkdir()
    expected = {"a": "changed", "b": "gone", "c": "not readable", "blastwall.yaml": "as trusted"}
    shown = (line.split("  ") for line in trust("--list").stdout.splitlines())
    assert {os.path.basename(words[0]): words[-1] for words in shown} == expected
    states = {
        os.path.basename(each["path"]): each["now"] for each in told(trust("--list", "--json"))["trusted"]
    }
    assert states == expected


def test_what_is_forgotten_is_asked_for_again(file, project, answering):
    trust(**answering("y"))
    assert trust("--forget", ".").exit_code == 0
    assert not trusted(file)
    result = trust("--forget", str(file))
    assert (result.exit_code, result.stderr) == (1, f"{file} was not trusted\n")
    assert told(trust("--forget", str(file), "--json")) == {"path": str(file), "forgotten": False}


def test_a_store_that_can_not_be_believed_stops_it(file, answering):
    trust(**answering("y"))
    Store().directory.chmod(0o755)
    for words in ([], ["--list"], ["--forget", "."]):
        result = trust(*words)
        assert result.exit_code == 4
        assert "can't be believed" in result.stderr


def test_where_there_is_nothing_it_says_so(project, file):
    file.unlink()
    result = trust()
    assert (result.exit_code, result.stderr) == (4, "there is no blastwall.yaml here: name a file\n")
    result = trust("missing")
    assert (result.exit_code, result.stderr) == (4, "missing can't be read: No such file or directory\n")


# --- which policy the other verbs go by -------------------------------------------------------------------


def force():
    return [str(each) for each in in_force()]


def stopped(act):
    with pytest.raises(typer.Exit) as stopped:
        act()
    return stopped.value.exit_code


def test_what_the_user_names_is_what_counts(file, own):
    assert in_force(["x.yaml", "y.yaml"]) == ("x.yaml", "y.yaml")
    assert looked_at(["x.yaml", "/dev/fd/63"]) == (ProjectFile("x.yaml", acts=False), "/dev/fd/63")


def test_a_project_alone_counts_when_it_is_trusted(file, answering, capsys):
    assert stopped(lambda: policy_or_stop()) == 3
    error = f"blastwall.yaml: is not trusted: look at it, then run `blastwall trust {file}`"
    assert capsys.readouterr().err.strip() == error
    assert stopped(lambda: policy_or_stop(as_json=True)) == 3
    assert json.loads(capsys.readouterr().out)["problems"][0]["message"].startswith("is not trusted")
    trust(**answering("y"))
    assert policy_or_stop().file == file.name


def test_who_only_looks_needs_no_trust(file, own):
    policy = policy_or_stop(acts=False)
    assert isinstance(policy, Layered)
    assert [policy.primary.file, policy.narrowing[0].file] == [str(own), file.name]
    own.unlink()
    assert policy_or_stop(acts=False).file == file.name


def test_beside_the_user_s_own_one_that_was_never_trusted_is_left_out_aloud(file, own, capsys, answering):
    assert force() == [str(own)]
    assert f"{file.name} is not trusted, so it takes nothing away" in capsys.readouterr().err
    trust(**answering("y"))
    assert force() == [str(own), file.name]


def test_one_that_changed_or_went_stops_who_acts(file, own, answering, capsys):
    """What took away once must not be taken out of force by a change of it."""
    trust(**answering("y"))
    file.write_text(POLICY + "#")
    assert stopped(lambda: policy_or_stop()) == 3
    assert "it changed since you trusted it" in capsys.readouterr().err
    file.unlink()
    assert stopped(lambda: policy_or_stop()) == 3
    assert "can't be read: No such file" in capsys.readouterr().err
    trust("--forget", str(file))
    assert policy_or_stop().file == str(own)


def test_without_any_policy_it_says_where_one_may_be(file, capsys):
    file.unlink()
    for act in (in_force, looked_at):
        assert stopped(act) == 3
        assert f"there is neither {user_policy()} nor a blastwall.yaml here" in capsys.readouterr().err


def test_the_user_s_own_must_be_a_file_of_theirs(own, capsys):
    own.chmod(0o666)
    assert stopped(lambda: policy_or_stop()) == 3
    assert "everybody can write it" in capsys.readouterr().err
    own.unlink()
    os.mkfifo(own)
    assert stopped(in_force) == 3
    assert "is no regular file" in capsys.readouterr().err
    own.unlink()
    own.symlink_to(own)
    assert stopped(in_force) == 3
    assert "can't be read: Too many levels" in capsys.readouterr().err


def test_a_folder_that_is_gone_stops_who_stands_in_it(project, tmp_path, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert stopped(in_force) == 4
    assert "the working directory can't be looked at" in capsys.readouterr().err
    os.chdir(project)


def test_what_is_said_can_not_speak_to_the_terminal(project, capsys):
    odd = project / "a\x1b[2Jb"
    odd.mkdir()
    (odd / "blastwall.yaml").write_text(POLICY)
    os.chdir(odd)
    assert stopped(lambda: policy_or_stop(str(odd / "missing"))) == 3
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\\u001b[2J" in said


def test_a_store_that_can_not_be_believed_stops_who_acts(file, own, answering, capsys):
    trust(**answering("y"))
    Store().directory.chmod(0o755)
    assert stopped(in_force) == 4
    assert "can't be believed" in capsys.readouterr().err


# --- the proxy, as it is started ----------------------------------------------------------------------------


def test_the_proxy_starts_nothing_before_trust_and_the_server_after_it(project, tmp_path):
    pytest.importorskip("mcp")
    canary = tmp_path / "canary"
    server = {"command": "touch", "args": [str(canary)], "sandbox": "none"}
    policy = {"version": 1, "connectors": {"notes": {"server": server}}}
    (project / "blastwall.yaml").write_text(json.dumps(policy))
    command = [os.path.join(os.path.dirname(sys.executable), "blastwall"), "proxy"]
    stopped = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert (stopped.returncode, stopped.stdout) == (3, "")
    assert stopped.stderr.startswith("blastwall.yaml: is not trusted: look at it, then run `blastwall trust")
    assert not canary.exists()
    Store().add(read_untrusted(project / "blastwall.yaml", project))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as proxy:
        assert proxy.stdin is not None
        proxy.stdin.write(json.dumps(HELLO).encode() + b"\n")
        proxy.stdin.flush()
        deadline = time.monotonic() + 60
        while not canary.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        proxy.stdin.close()
        proxy.wait(60)
    assert canary.exists()


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
