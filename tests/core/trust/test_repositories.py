"""Repositories that attack whoever opens them: nothing happens before trust, and after it what was trusted."""

import os
import re
import signal
import sys
from types import SimpleNamespace

import pytest
import typer
from tests.core.trust import repositories
from typer.testing import CliRunner

from blastwall import policyfile
from blastwall.cli import app as verbs
from blastwall.cli.policies import in_force, policy_or_stop
from blastwall.cli.trust import trust
from blastwall.errors import PolicyError
from blastwall.policyfile import load
from blastwall.trust import reading
from blastwall.trust.projects import ProjectFile, user_policy
from blastwall.trust.reading import NotReadable, read_untrusted
from blastwall.trust.store import NotTrusted, Store

CASES = repositories.cases("agents", "policies", "files", "bombs", "changes")
EXPANDED = "what-the-variable-holds"
SECRET = "what-the-file-holds"
FORBIDDEN = {
    *"subprocess.Popen os.exec os.fork os.forkpty os.posix_spawn os.system pty.spawn".split(),
    *"socket.connect socket.getaddrinfo socket.gethostbyname socket.sendto urllib.Request".split(),
}
LIMIT_S = 60

watching: list[str] | None = None


def _heard(event, arguments):
    if watching is None:
        return
    if event in FORBIDDEN or (event == "import" and arguments[0] == "canary"):
        watching.append(f"{event} {arguments}")
    if event == "open" and str(arguments[0]).endswith((".ssh/key", "home/.vscode/mcp.json", "/environ")):
        watching.append(f"{event} {arguments}")


sys.addaudithook(_heard)

app = typer.Typer()
app.command()(trust)


@pytest.fixture(autouse=True)
def in_time():
    """A reader that waits, or works, for too long is stopped."""

    def late(*_):
        raise AssertionError("it took too long")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def world(tmp_path, monkeypatch):
    home, clone = tmp_path.resolve() / "home", tmp_path.resolve() / "home" / "clone"
    secret = home / ".ssh" / "key"
    for folder in (clone, secret.parent, home / ".vscode"):
        folder.mkdir(parents=True)
    for file in (secret, home / ".vscode" / "mcp.json"):
        file.write_text(SECRET)
    monkeypatch.setattr(policyfile, "ORGANISATION", tmp_path / "nowhere")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CANARY_TOKEN", EXPANDED)
    monkeypatch.setenv("COLUMNS", "2000")
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(clone)
    monkeypatch.syspath_prepend(str(clone))
    with repositories.Listener() as listener:
        canary = tmp_path.resolve() / "canary"
        marks = {"@CANARY@": canary, "@URL@": listener.url, "@SECRET@": secret, "@HOME@": home}
        yield SimpleNamespace(
            home=home, clone=clone, canary=canary, listener=listener, said=lambda text: _said(text, marks)
        )


def _said(text, marks):
    for mark, meant in marks.items():
        text = text.replace(mark, str(meant))
    return text


@pytest.fixture(params=CASES, ids=lambda case: case["id"])
def attack(request, world):
    """The repository, with what was trusted before it changed."""
    case = request.param
    name = case.get("file", "blastwall.yaml")
    if "user" in case:
        user_policy().parent.mkdir(parents=True)
        user_policy().write_text(case["user"])
    if "first" in case:
        repositories.build(world.clone, case["first"], world.said)
        for each in case["first"]:
            if each.endswith((".yaml", ".json")):
                trusted(world.clone / each, world.clone)
                use(world.clone / each, world.clone)
    repositories.build(world.clone, case["tree"], world.said)
    return SimpleNamespace(case=case, world=world, file=world.clone / name, root=world.clone)


def use(file, root, **race):
    """Use a file as what acts on it does."""
    if file.name.casefold().endswith(".yaml"):
        own = [str(user_policy())] if user_policy().exists() else []
        return load(*own, ProjectFile(str(file)))
    return Store().require(read_untrusted(file, root))


def refusal(file, root):
    """Give why a file is not used, or "" if it is."""
    try:
        use(file, root)
    except (PolicyError, NotReadable, NotTrusted) as error:
        return str(error)
    return ""


def trusted(file, root):
    """Trust a file as a script does that saw it; give what was said instead, if it can't be."""
    try:
        digest = read_untrusted(file, root).digest
    except NotReadable as error:
        return str(error)
    done = CliRunner().invoke(app, [str(file), "--yes", "--digest", digest])
    assert done.exit_code == 0, done.output
    return ""


def looked_at(attack):
    """Look at a file in every way that there is before it is trusted; give all that was said."""
    said = [CliRunner().invoke(app, [str(attack.file)]).output]
    name = str(attack.file)
    asked = (["check", name], ["lint", name], ["explain", "docs.read", "-p", name], ["trust", name])
    said.extend(CliRunner().invoke(verbs, words).output for words in asked)
    for load_it in (
        lambda: load(ProjectFile(name, acts=False)),
        lambda: policy_or_stop(name, acts=False),
        lambda: policy_or_stop(acts=False),
        lambda: policy_or_stop(),
        lambda: in_force(),
    ):
        try:
            said.append(repr(load_it()))
        except (PolicyError, typer.Exit) as error:
            said.append(str(error))
    return "\n".join(said)


def quietly(act):
    """Do something; nothing may be started, called or opened meanwhile."""
    global watching
    watching = []
    try:
        return act()
    finally:
        heard, watching = watching, None
        assert heard == []


def harmless(attack, said):
    assert not os.path.lexists(attack.world.canary)
    assert attack.world.listener.asked == []
    assert EXPANDED not in said
    assert SECRET not in said


def test_nothing_happens_before_trust(attack):
    case = attack.case
    if "race" in case:
        pytest.skip("it changes while it is read")
    said = quietly(lambda: looked_at(attack))
    harmless(attack, said)
    for shown in case.get("shown", []):
        assert attack.world.said(shown) in said
    why = quietly(lambda: refusal(attack.file, attack.root))
    assert re.search(case.get("refused", "is not trusted"), why)
    harmless(attack, why)


def test_after_trust_it_is_what_was_trusted(attack):
    case = attack.case
    if "race" in case:
        pytest.skip("it changes while it is read")
    expected = case.get("trusted", "acts")
    if quietly(lambda: trusted(attack.file, attack.root)):
        assert "refused" in case, "whatever can be read can be trusted"
        return
    why = quietly(lambda: refusal(attack.file, attack.root))
    assert (why == "") if expected == "acts" else re.search(expected, why), why
    harmless(attack, why)


@pytest.mark.parametrize("attack", [c for c in CASES if "race" in c], ids=lambda c: c["id"], indirect=True)
def test_a_race_between_check_and_use_is_caught(attack, monkeypatch):
    race, calls = attack.case["race"], iter(range(100))

    class Racing:
        """The system, where somebody else acts right after a certain call of ours."""

        def __getattr__(self, name):
            found = getattr(os, name)
            return self.raced(found) if name == race["at"] else found

        def raced(self, call):
            def raced(*words, **options):
                result = call(*words, **options)
                if next(calls) + 1 == race.get("times", 1):
                    repositories.build(attack.root, race["tree"], attack.world.said)
                return result

            return raced

    monkeypatch.setattr(reading, "os", Racing())
    if attack.case["refused"]:
        why = quietly(lambda: refusal(attack.file, attack.root))
        assert re.search(attack.case["refused"], why)
        harmless(attack, why)
    else:
        policy = quietly(lambda: use(attack.file, attack.root))
        assert set(policy.connectors) == {"docs"}, "what was trusted is what was read, and is what is used"
        assert "evil" in attack.file.read_text()
    assert next(calls) >= race.get("times", 1), "nothing raced"


@pytest.mark.parametrize("attack", [c for c in CASES if "live" in c], ids=lambda c: c["id"], indirect=True)
def test_a_naive_loader_falls_for_it(attack):
    """The other half: the payload does what it is there for."""
    found = getattr(repositories, attack.case["live"])(attack.file)
    done = os.path.lexists(attack.world.canary) or attack.world.listener.asked
    assert done or (found and any(word in found for word in (EXPANDED, SECRET, "@SECRET@")))


def test_there_are_enough_of_them():
    assert len(CASES) >= 40
    assert len({case["id"] for case in CASES}) == len(CASES)
    published = {"CVE-2025-59536", "CVE-2026-21852", "CVE-2025-54136"}
    assert {name for name in published if any(name in case["threat"] for case in CASES)} == published
