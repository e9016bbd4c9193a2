"""The text for macOS: golden, well-formed for any path, and right when its rules are read back.

Seatbelt itself is not run here. `python tests/core/sandbox/test_seatbelt.py` writes the golden files anew.
"""

import difflib
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox import seatbelt
from blastwall.sandbox.protect import FILES, FOLDERS, protected
from blastwall.sandbox.seatbelt import prepare, profile_text
from blastwall.values import Destination, Profile, Strength

GOLDEN = Path(__file__).with_name("seatbelt")
HOME, SCRATCH, WORK = "/Users/me", "/private/var/folders/x/T/blastwall-1", "/Users/me/work"
FULL = Profile(
    'all of "it"',
    workspace=Path(WORK),
    read=(Path("/opt/toolchain"), Path("/tmp/shared")),
    mask=(Path("/opt/toolchain/keys"), Path("/etc/ssl/certs")),
    protect=("deploy/keys.yaml", "Makefile"),
    network=(Destination("api.example.com"),),
)
CASES: dict[str, tuple[Profile, dict[str, Any]]] = {
    "scratch": (Profile("scratch"), {}),
    "workspace": (Profile("build", workspace=Path(WORK)), {"read": ["/Users/me/.venv"]}),
    "full": (FULL, {"proxy_port": 3128}),
    "whole_home": (Profile("home", read=(Path("/Users"),)), {}),
}


def written(profile, **options):
    return profile_text(profile, home=HOME, scratch=SCRATCH, **options)


# --- SBPL, as much of it as is written ------------------------------------------------------------------

TOKEN = re.compile(
    r'\s+|;[^\n]*|(?P<bracket>[()])|#"(?P<raw>[^"]*)"|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()";#]+)'
)


class Raw(str):
    """A regular expression."""


def parsed(text):
    """Give the rules as lists; fails on anything that is not well-formed."""
    rules, stack, at = [], [], 0
    while at < len(text):
        token = TOKEN.match(text, at)
        assert token, text[at : at + 60]
        at = token.end()
        here = stack[-1] if stack else rules
        match token.lastgroup:
            case "bracket" if token["bracket"] == "(":
                stack.append([])
            case "bracket":
                done = stack.pop()
                (stack[-1] if stack else rules).append(done)
            case "raw":
                here.append(Raw(token["raw"]))
            case "text":
                here.append(("string", re.sub(r"\\(.)", r"\1", token["text"], flags=re.DOTALL)))
            case "word":
                assert stack, token["word"]
                here.append(token["word"])
            case _:
                pass  # white space, or a comment
    assert not stack
    return rules


def strings(tree):
    """Every string in some rules."""
    for item in tree:
        if isinstance(item, list):
            yield from strings(item)
        elif isinstance(item, tuple):
            yield item[1]


def holds(rule, path):
    """Say whether a filter takes a path."""
    match rule:
        case ["subpath", ("string", top)]:
            return path == top or path.startswith(top.rstrip("/") + "/")
        case ["literal", ("string", place)]:
            return path == place
        case ["regex", *patterns]:
            return any(re.search(pattern, path) for pattern in patterns)
        case ["require-all", *rules]:
            return all(holds(each, path) for each in rules)
        case ["require-any", *rules]:
            return any(holds(each, path) for each in rules)
        case ["require-not", each]:
            return not holds(each, path)
        case [
            ("target" | "ipc-posix-name" | "global-name" | "sysctl-name" | "sysctl-name-prefix" | "remote"),
            *_,
        ]:
            return False
        case _:
            raise AssertionError(rule)


def named(operation, wanted):
    return operation == wanted or (operation.endswith("*") and wanted.startswith(operation[:-1]))


def allowed(text, operation, path):
    """Say whether a path may be had, by either reading of SBPL: the last rule wins, or any denial does."""
    found = ["deny"]
    for effect, *rest in parsed(text):
        if effect not in ("allow", "deny") or rest[0] == "default":
            continue
        operations = [item for item in rest if isinstance(item, str)]
        filters = [item for item in rest if isinstance(item, list)]
        if any(named(each, operation) for each in operations) and any(holds(each, path) for each in filters):
            found.append(effect)
    last, strict = found[-1] == "allow", "deny" not in found[1:] and "allow" in found
    assert last == strict, (operation, path, found)
    return last


# --- Tests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    profile, options = CASES[name]
    expected, text = (GOLDEN / f"{name}.sb").read_text(), written(profile, **options)
    assert text == expected, "\n".join(
        difflib.unified_diff(expected.split("\n"), text.split("\n"), lineterm="")
    )


@pytest.mark.parametrize("name", CASES)
def test_everything_is_denied_first_and_only_known_operations_are_named(name):
    profile, options = CASES[name]
    version, default, *rules = parsed(written(profile, **options))
    assert version == ["version", "1"]
    assert default[:2] == ["deny", "default"]
    operations = {item for rule in rules for item in rule[1:] if isinstance(item, str)}
    assert operations <= {
        "file-ioctl",
        "file-map-executable",
        "file-read*",
        "file-read-metadata",
        "file-write*",
        "file-write-data",
        "file-write-unlink",
        "ipc-posix-sem",
        "ipc-posix-shm-read*",
        "mach-lookup",
        "network-outbound",
        "process-exec",
        "process-fork",
        "process-info*",
        "signal",
        "sysctl-read",
    }
    # A rule without a filter holds for everything.
    bare = [rule for rule in rules if rule[0] == "allow" and not any(isinstance(item, list) for item in rule)]
    assert bare == [["allow", "process-exec", "process-fork"], ["allow", "ipc-posix-sem"]]


def test_the_order_of_what_is_given_changes_nothing():
    turned = replace(FULL, read=FULL.read[::-1], mask=FULL.mask[::-1])
    assert written(turned, proxy_port=1) == written(FULL, proxy_port=1)


READ, WRITE, MAKE, MOVE = "file-read-data", "file-write-data", "file-write-create", "file-write-unlink"


class TestWhatItAllows:
    full = written(FULL, proxy_port=3128)

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/usr/bin/env",
            "/bin/sh",
            "/opt/toolchain/bin/cc",
            "/private/tmp/shared/x",
            f"{WORK}/a",
            f"{SCRATCH}/home",
        ],
    )
    def test_reading(self, path):
        assert allowed(self.full, READ, path)

    @pytest.mark.parametrize(
        "path",
        [
            "/Users/me/notes.txt",
            "/Users/me/.ssh/id_ed25519",
            "/Users/other",
            "/opt/toolchain/keys/x",
            "/opt/toolchainx",
            "/private/etc/ssl/certs/x",
            "/private/etc/master.passwd",
            "/private/var/db/dslocal/nodes",
            "/System/Volumes/Data/Users/me/.ssh/id_ed25519",
            "/usr/local/etc/x",
            f"{WORK}/.env",
            f"{WORK}/deep/.Env.Local",
            f"{WORK}x",
            "/private/var/folders/x/T/other",
            "/private/tmp/other",
            "/dev/disk0",
            "/dev/tty",
        ],
    )
    def test_not_reading(self, path):
        assert not allowed(self.full, READ, path)

    @pytest.mark.parametrize(
        "secret", [".ssh/id_rsa", ".aws/credentials", ".netrc", "Library/Keychains/login"]
    )
    def test_secrets_below_what_may_be_read(self, secret):
        text = written(*CASES["whole_home"][:1])
        assert allowed(text, READ, "/Users/me/notes.txt")
        assert not allowed(text, READ, f"/Users/me/{secret}")

    @pytest.mark.parametrize("operation", [WRITE, MAKE, MOVE])
    def test_writing(self, operation):
        for path in (
            f"{WORK}/a",
            f"{WORK}/.git/index",
            f"{WORK}/.git/refs/heads/x",
            f"{SCRATCH}/temporary/x",
        ):
            assert allowed(self.full, operation, path), path

    @pytest.mark.parametrize("operation", [WRITE, MAKE, MOVE])
    def test_not_writing(self, operation):
        for path in (
            "/",
            "/Users/me/.zshrc",
            "/Users/me",
            "/usr/local/bin/x",
            "/opt/toolchain/x",
            "/private/tmp/x",
            f"{WORK}x",
            f"{WORK}/.git",
            f"{WORK}/.GIT/Hooks/pre-commit",
            f"{WORK}/.git/modules/x/hooks",
            f"{WORK}/sub/.git/config",
            f"{WORK}/Deploy",
            f"{WORK}/deploy/KEYS.yaml",
            f"{WORK}/makefile",
        ):
            assert not allowed(self.full, operation, path), path

    def test_the_workspace_itself_stays_where_it_is(self):
        assert not allowed(self.full, MOVE, WORK)
        assert not allowed(self.full, MOVE, SCRATCH)

    def test_what_is_protected_is_exactly_what_the_rest_of_blastwall_protects(self):
        names = [
            *FILES,
            *FOLDERS,
            ".git",
            ".git/hooks/x",
            ".git/config",
            ".git/config.worktree",
            ".git/HEAD",
            "a",
            "b/c",
        ]
        names += ["Makefile", "deploy/keys.yaml", "src/Makefile", ".claudex", "x.env"]
        for name in [*names, *(f"a/b/{name}" for name in names), *map(str.upper, names)]:
            expected = not protected(Path(name), FULL.protect)
            assert allowed(self.full, WRITE, f"{WORK}/{name}") == expected, name

    @pytest.mark.parametrize("path", ["/Users/me/.claude/worktrees/x", "/Users/me/.vscode/a.b+c/x"])
    def test_a_workspace_below_a_protected_name(self, path):
        text = profile_text(Profile("x", workspace=Path(path)), home="/Users/you", scratch=SCRATCH)
        assert allowed(text, WRITE, f"{path}/file")
        assert not allowed(text, WRITE, f"{path}/.claude/settings.json")

    def test_no_network_without_one(self):
        assert not any(
            "network" in word for rule in parsed(written(Profile("x"), proxy_port=3128)) for word in rule[1:2]
        )

    def test_only_the_gate(self):
        rules = [rule for rule in parsed(self.full) if rule[1].startswith("network")]
        assert rules == [["allow", "network-outbound", ["remote", "ip", ("string", "localhost:3128")]]]

    def test_a_network_without_a_gate(self):
        with pytest.raises(BackendError, match="no gate"):
            written(FULL)

    @pytest.mark.parametrize("port", [0, 65536, -1])
    def test_a_port_that_is_none(self, port):
        with pytest.raises(BackendError, match="no port"):
            written(FULL, proxy_port=port)

    @pytest.mark.parametrize("path", ["/etc", "../x", "a/../../b", "."])
    def test_protecting_what_is_outside(self, path):
        with pytest.raises(BackendError, match="inside the workspace"):
            written(replace(FULL, protect=(path,)), proxy_port=1)


class TestQuoting:
    hostile = (
        '/a") (allow default) (deny file-read* (subpath "/b',
        "/a\\",
        '/a\\") (allow default) ;',
        "/a;b",
        "/a#|b|#",
        '/a#"b"',
        "/ö/日本/\u202e",
        "/(",
    )

    @pytest.mark.parametrize("path", hostile)
    def test_a_path_stays_a_string(self, path):
        plain = written(Profile("x", workspace=Path("/w"), read=(Path("/r"),), mask=(Path("/m"),)))
        text = written(
            Profile("x", workspace=Path(path), read=(Path(path),), mask=(Path(path),)), read=[path]
        )
        assert {str(Path(path))} <= set(strings(parsed(text)))
        assert [rule[:2] for rule in parsed(text)] == [rule[:2] for rule in parsed(plain)]

    @pytest.mark.parametrize("path", ["/a\nb", "/a\0", "/a\x1b", "/a\x7f", "/a\x9b", "/a\udce9"])
    def test_what_no_string_can_hold(self, path):
        for profile in (Profile("x", workspace=Path(path)), Profile("x", read=(Path(path),))):
            with pytest.raises(BackendError, match="rename it"):
                written(profile)

    @pytest.mark.parametrize("path", ["relative", "", "/a/../b"])
    def test_what_is_no_absolute_path(self, path):
        with pytest.raises(BackendError, match="no absolute path"):
            written(Profile("x"), read=[path])

    @given(st.text(min_size=1).map(lambda text: f"/{text}"), st.text())
    def test_any_path_and_name(self, path, name):
        try:
            text = written(Profile(name, workspace=Path(path), protect=("own",)), read=[path])
        except BackendError:
            assert ".." in path or re.search("[\0-\x1f\x7f-\x9f\ud800-\udfff]", path)
            return
        rules = parsed(text)
        place = str(Path("/" + path.lstrip("/")))
        place = f"/private{place}" if re.match("/(etc|tmp|var)(/|$)", place) else place
        assert place in set(strings(rules))
        heads = [rule[:2] for rule in parsed(written(Profile("x", workspace=Path("/w"), protect=("own",))))]
        assert [rule[:2] for rule in rules] == heads
        if not any(
            place == top or place.startswith(f"{top}/") for top in ("/Users", *seatbelt.SYSTEM_SECRETS)
        ):
            inside = f"{place.rstrip('/')}/file"
            assert allowed(text, WRITE, inside)
            for name in (".git/hooks/x", "sub/.Bashrc", "OWN"):
                assert not allowed(text, WRITE, f"{place.rstrip('/')}/{name}")

    @given(st.text())
    def test_any_protected_path(self, path):
        try:
            text = written(Profile("x", workspace=Path(WORK), protect=(path,)))
        except BackendError:
            assert path.startswith("/") or ".." in path or not Path(path).parts
            return
        parsed(text)
        assert not allowed(text, WRITE, f"{WORK}/{Path(path)}")


class TestPrepare:
    """As on a Mac, but for /tmp, which there is a symlink to /private/tmp and is written so."""

    @pytest.fixture
    def mac(self, monkeypatch, tmp_path):
        monkeypatch.setattr(seatbelt, "PROGRAM", "/bin/true")
        system = os.uname()
        monkeypatch.setattr(os, "uname", lambda: type(system)(("Darwin", *system[1:])))
        monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def test_only_on_macos(self):
        with (
            pytest.raises(SandboxUnavailable, match="needs macOS.*on Linux use bubblewrap"),
            prepare(["true"], FULL),
        ):
            pass

    def test_never_in_place_of_a_stronger_one(self, mac):
        with (
            pytest.raises(SandboxUnavailable, match="'vm'"),
            prepare(["true"], Profile("x", strength=Strength.VM)),
        ):
            pass

    @pytest.mark.parametrize("argv", [[], ["a\0b"]])
    def test_a_command_that_is_none(self, mac, argv):
        with pytest.raises(BackendError, match="words without NUL"), prepare(argv, Profile("x")):
            pass

    def test_the_command_its_environment_and_its_folder(self, mac, workspace):
        (workspace / "below").mkdir()
        profile = Profile(
            "x",
            workspace=workspace,
            directory="below",
            timeout_s=9.5,
            file_mb=2,
            open_files=64,
            env=(("A", "b"),),
        )
        with prepare(
            ["echo", "$(x)"], profile, read=[workspace], env={"HTTP_PROXY": "http://127.0.0.1:3128"}
        ) as started:
            program, option, text, *rest = started.argv
            assert (program, option, rest[:3]) == ("/bin/true", "-p", ["/bin/sh", "-c", seatbelt._LIMITED])
            assert rest[3:] == ["sh", "11", "4096", "64", "echo", "$(x)"]
            assert started.directory == f"{workspace}/below"
            assert {"A", "HOME", "HTTP_PROXY", "LANG", "PATH", "TMPDIR"} == started.env.keys()
            scratch = Path(started.env["HOME"]).parent
            assert scratch.stat().st_mode & 0o777 == 0o700
            assert allowed(text, WRITE, seatbelt._real(f"{started.env['TMPDIR']}/x"))
            assert allowed(text, WRITE, seatbelt._real(f"{workspace}/x"))
        assert not scratch.exists()

    def test_without_a_workspace_there_is_a_private_one(self, mac):
        with prepare(["true"], Profile("x", cpu_s=2)) as started:
            assert Path(started.directory).is_dir()
            assert allowed(started.argv[2], WRITE, seatbelt._real(f"{started.directory}/x"))
            assert started.argv[7] == "3"

    def test_symlinks_are_followed(self, mac, tmp_path, workspace):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        profile = Profile("x", workspace=workspace, read=(tmp_path / "link",))
        with prepare(["true"], profile) as started:
            assert allowed(started.argv[2], READ, seatbelt._real(f"{tmp_path}/real/x"))
        with prepare(["true"], replace(profile, mask=(tmp_path / "link",))) as started:
            assert not allowed(started.argv[2], READ, seatbelt._real(f"{tmp_path}/real/x"))

    def test_a_bad_workspace(self, mac, tmp_path):
        with (
            pytest.raises(BackendError, match="make it first"),
            prepare(["true"], Profile("x", workspace=tmp_path / "no")),
        ):
            pass

    def test_a_start_outside(self, mac, workspace):
        profile = Profile("x", workspace=workspace, directory="../..")
        with pytest.raises(BackendError, match="outside its workspace"), prepare(["true"], profile):
            pass

    def test_the_limits_are_set_and_the_words_arrive_whole(self):
        """The script is POSIX, so that any shell shows what it does."""
        words = [
            "sh",
            "7",
            "2048",
            "32",
            "sh",
            "-c",
            'ulimit -t; ulimit -n; ulimit -c; printf "%s|" "$@"',
            "sh",
            "a b",
            "$(x)",
            "",
        ]
        done = subprocess.run(
            ["/bin/sh", "-c", seatbelt._LIMITED, *words], capture_output=True, text=True, check=True
        )
        assert done.stdout == "7\n32\n0\na b|$(x)||"

    def test_a_limit_that_cannot_be_set_stops_it(self):
        done = subprocess.run(
            ["/bin/sh", "-c", seatbelt._LIMITED, "sh", "7", "x", "32", "echo", "ran"], capture_output=True
        )
        assert (done.stdout, done.returncode != 0) == (b"", True)


if __name__ == "__main__":
    for name, (profile, options) in CASES.items():
        (GOLDEN / f"{name}.sb").write_text(written(profile, **options))
