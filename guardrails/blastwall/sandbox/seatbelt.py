"""A profile as macOS understands it: the text that `sandbox-exec` enforces. Generated, not run in our CI."""

import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.sandbox.mounts import SECRETS, mounts, within
from blastwall.sandbox.protect import FILES, FOLDERS, GIT, SECRET
from blastwall.values import Profile, Strength

PROGRAM = "/usr/bin/sandbox-exec"
PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin"

SYSTEM = (
    "/Library/Apple",
    "/Library/Developer/CommandLineTools",
    # Not all of /System: /System/Volumes/Data holds everybody's files under a second name.
    *(f"/System/{name}" for name in "Cryptexes Library Volumes/Preboot/Cryptexes iOSSupport".split()),
    "/bin",
    *(f"/opt/homebrew/{name}" for name in "Cellar Frameworks bin include lib opt sbin share".split()),
    *(f"/private/etc/{name}" for name in "localtime protocols services ssl/cert.pem ssl/certs".split()),
    "/private/var/db/dyld",
    "/private/var/db/timezone",
    "/private/var/db/xcode_select_link",
    "/private/var/select",
    "/sbin",
    "/usr",
)
"""Programs and libraries, and what they can't start without."""

SYSTEM_SECRETS = (
    "/Library/Keychains /private/etc/master.passwd /private/etc/ssh /private/etc/sudoers"
    " /private/var/db/dslocal /usr/local/etc /usr/local/var"
).split()

HOME_SECRETS = (
    *SECRETS,
    *"Library/Cookies Library/Keychains Library/Mail Library/Messages Library/Safari".split(),
)

_PRIVATE = ("/etc", "/tmp", "/var")  # noqa: S108
"""Symlinks into /private. The kernel compares the paths that they lead to."""

_LINKS = ("/etc", "/private", "/tmp", "/var")  # noqa: S108

_DEVICES = ("/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")
_STREAMS = ("/dev/fd", "/dev/stderr", "/dev/stdin", "/dev/stdout")

_SERVICES = (
    "com.apple.bsd.dirhelper com.apple.logd com.apple.system.logger com.apple.system.notification_center"
    " com.apple.system.opendirectoryd.libinfo com.apple.system.opendirectoryd.membership"
).split()
"""No keychain, no pasteboard, no launching of programs outside, and no trustd, which fetches any URL."""

_KERNEL = (
    "hw.activecpu hw.byteorder hw.cachelinesize hw.cpufamily hw.cpufrequency hw.cputype hw.l1dcachesize"
    " hw.l1icachesize hw.l2cachesize hw.logicalcpu hw.logicalcpu_max hw.machine hw.memsize hw.model hw.ncpu"
    " hw.nperflevels hw.packages hw.pagesize hw.pagesize_compat hw.physicalcpu hw.physicalcpu_max"
    " hw.tbfrequency kern.argmax kern.hostname kern.maxfiles kern.maxfilesperproc kern.maxproc kern.ngroups"
    " kern.osproductversion kern.osrelease kern.ostype kern.osvariant_status kern.osversion"
    " kern.secure_kernel kern.usrstack64 kern.version machdep.cpu.brand_string"
    " security.mac.lockdown_mode_state sysctl.proc_cputype vm.loadavg"
).split()
_KERNEL_BELOW = ("hw.optional.", "hw.perflevel")

_LIMITED = 'ulimit -c 0 && ulimit -t "$1" && ulimit -f "$2" && ulimit -n "$3" || exit 126; shift 3; exec "$@"'
"""A constant: what is limited and what is run are its arguments, never part of it."""

_BLOCK = 512

_ANY = "[^/]+"
_ANY_RUN = re.compile(r"(?:\[\^/\]\+){2,}")
"""Several in a row mean no more than one, and cost whoever matches them far more."""


@dataclass(frozen=True, slots=True)
class Confined:
    """What to start: `argv` with exactly this environment, in this folder."""

    argv: tuple[str, ...]
    env: dict[str, str]
    directory: str


def profile_text(
    profile: Profile, *, home: str, scratch: str, read: Iterable[str] = (), proxy_port: int | None = None
) -> str:
    """Write a profile in SBPL. The same arguments give the same text.

    Nothing is allowed that isn't named here. A path that is allowed with exceptions has them in the same
    rule, and denied again behind it, so that it doesn't matter whether the last rule wins or the narrowest.

    Args:
        profile: What may be touched. Its paths must be real ones.
        home: The caller's home, where the credentials lie.
        scratch: A private folder that may be written: the home and the temporary files inside.
        read: More readable paths, such as an interpreter's.
        proxy_port: The port on loopback where the egress gate listens.

    Raises:
        BackendError: when the profile has a network and there is no gate, or a path can't be written in SBPL.

    """
    if profile.network and proxy_port is None:
        raise BackendError(f"the profile {profile.name!r} has a network, but there is no gate to it")
    workspace = None if profile.workspace is None else _real(str(profile.workspace))
    shown = sorted({_real(path) for path in (*map(str, profile.read), *read)} - set(SYSTEM))
    folders = [_real(scratch), *([workspace] if workspace else [])]
    hidden = {f"{_real(home)}/{name}" for name in HOME_SECRETS} | {_real(str(path)) for path in profile.mask}
    return "\n".join(
        [
            *_start(profile.name),
            *_reading([*SYSTEM, *shown, *folders], sorted({*hidden, *SYSTEM_SECRETS}), workspace),
            *_writing(folders, workspace, profile.protect),
            *_network(proxy_port if profile.network else None),
            "",
        ]
    )


def _start(name: str) -> list[str]:
    tag = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:64]
    return [
        "; Written by blastwall from a profile. Generated, not run in its CI.",
        "(version 1)",
        f"(deny default (with message {_quoted(f'blastwall {tag}')}))",
        "",
        "; processes: its own only",
        "(allow process-exec process-fork)",
        "(allow process-info* (target same-sandbox))",
        "(allow signal (target same-sandbox))",
        "(allow ipc-posix-sem)",
        '(allow ipc-posix-shm-read* (ipc-posix-name "apple.shm.notification_center"))',
        *_rule("allow mach-lookup", [f"(global-name {_quoted(name)})" for name in _SERVICES]),
        *_rule(
            "allow sysctl-read",
            [
                *(f"(sysctl-name {_quoted(name)})" for name in _KERNEL),
                *(f"(sysctl-name-prefix {_quoted(name)})" for name in _KERNEL_BELOW),
            ],
        ),
    ]


def _reading(shown: list[str], hidden: list[str], workspace: str | None) -> list[str]:
    above = {str(parent) for path in shown for parent in PurePosixPath(path).parents}
    covered = [*map(_subpath, hidden), *_in_workspace(workspace, map(_named, SECRET))]
    return [
        "",
        "; files: what is shown, without the secrets in it",
        *_rule("allow file-read-metadata", [_literal(path) for path in sorted({*above, *_LINKS})]),
        '(allow file-read* (literal "/"))',
        *_rule("allow file-read* file-write-data file-ioctl", [_literal(path) for path in _DEVICES]),
        *_rule("allow file-read* file-write-data", [_subpath(path) for path in _STREAMS]),
        *_rule("allow file-read* file-map-executable", _except(shown, covered)),
        *_rule("deny file-read* file-map-executable", covered),
        *_rule("deny file-write*", list(map(_subpath, hidden))),
    ]


def _writing(folders: list[str], workspace: str | None, extra: Iterable[str]) -> list[str]:
    patterns = [*map(_named, sorted({*FILES, *FOLDERS})), *_git(), *_extra(extra)]
    guarded = list(_in_workspace(workspace, patterns))
    return [
        "",
        "; files: what may be written, without what makes programs outside do something",
        *_rule("allow file-write*", _except(folders, guarded)),
        *_rule("deny file-write*", guarded),
        # A folder that can be moved away takes its rules with it.
        *_rule("deny file-write-unlink", [_literal(path) for path in folders]),
    ]


def _network(port: int | None) -> list[str]:
    if port is None:
        return []
    if not 0 < port < 1 << 16:
        raise BackendError(f"{port} is no port: the gate's is between 1 and 65535")
    return ["", "; network: the gate alone", f'(allow network-outbound (remote ip "localhost:{port}"))']


def _except(folders: list[str], exceptions: list[str]) -> list[str]:
    if not exceptions:
        return [_subpath(path) for path in folders]
    any_of = "\n      ".join(map(_subpath, folders))
    none_of = "\n      ".join(exceptions)
    return [
        f"(require-all\n    (require-any\n      {any_of})\n    (require-not (require-any\n      {none_of})))"
    ]


def _rule(head: str, filters: list[str]) -> list[str]:
    return [f"({head}\n  " + "\n  ".join(filters) + ")"] if filters else []


def _in_workspace(workspace: str | None, patterns: Iterable[str]) -> Iterator[str]:
    """Give one filter for the paths of a workspace that match a pattern, which starts at its top."""
    if workspace is not None:
        top = _ANY_RUN.sub(_ANY, "".join(c if c == "/" else _plain(c) for c in workspace))
        any_of = "\n      ".join(f'#"^{top}{pattern}"' for pattern in patterns)
        yield f"(require-all {_subpath(workspace)} (regex\n      {any_of}))"


def _git() -> Iterator[str]:
    """Give `.git` itself, what in it makes git run things, and all of its submodules.

    Those are closed whole: a folder with hooks could be moved among them under another name.
    """
    git = f"/(.*/)?{_folded('.git')}"
    yield f"{git}$"
    yield from (f"{git}/{_folded(name)}(/|$)" for name in (*GIT, "modules", "worktrees"))


def _extra(paths: Iterable[str]) -> Iterator[str]:
    """Give a profile's own protected paths, and the folders above each, which must not be moved or made."""
    for path in paths:
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or not parts:
            raise BackendError(f"the sandbox profile protects {path!r}: write a path inside the workspace")
        folded = [f"/{_folded(part)}" for part in parts]
        yield from ("".join(folded[:end]) + "$" for end in range(1, len(parts)))
        yield "".join(folded) + "(/|$)"


def _named(name: str) -> str:
    return f"/(.*/)?{_folded(name)}(/|$)"


def _folded(name: str) -> str:
    """Give a pattern for a name in upper or lower case, as macOS's file system takes them for the same."""
    folded = "".join(f"[{c.lower()}{c.upper()}]" if c.isascii() and c.isalpha() else _plain(c) for c in name)
    return _ANY_RUN.sub(_ANY, folded)


def _plain(character: str) -> str:
    """Write a character in a pattern.

    One that can't be written plainly matches more than it should, which closes more than was asked.
    """
    if character.isascii() and (character.isalnum() or character in "-_ "):
        return character
    return "[.]" if character == "." else _ANY


def _subpath(path: str) -> str:
    return f"(subpath {_quoted(path)})"


def _literal(path: str) -> str:
    return f"(literal {_quoted(path)})"


def _quoted(text: str) -> str:
    """Write a string that nothing in it can end.

    Raises:
        BackendError: for control characters and what is no text. SBPL has no settled way to write them.

    """
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text):
        raise BackendError(f"{text!r} holds a control character: rename it, or take it off the profile")
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise BackendError(f"{text!r} is no UTF-8: rename it, or take it off the profile")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _real(path: str) -> str:
    """Give an absolute path without `..`, and with macOS's own three symlinks followed."""
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise BackendError(f"{path!r} is no absolute path without `..`")
    plain = str(PurePosixPath("/" + path.lstrip("/")))
    return f"/private{plain}" if within(plain, _PRIVATE) else plain


@contextmanager
def prepare(
    argv: Sequence[str],
    profile: Profile,
    *,
    read: Iterable[Path] = (),
    proxy_port: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Confined]:
    """Make everything ready to start `argv` under Seatbelt; the private folder is gone after the block.

    Args:
        argv: The command and its arguments.
        profile: What it may touch.
        read: More readable paths.
        proxy_port: Where the egress gate listens on loopback.
        env: What the gate adds to the environment.

    Raises:
        SandboxUnavailable: when this is no macOS, or the profile asks for more than the `os` strength.
        BackendError: when the profile does not fit the machine.

    """
    if os.uname().sysname != "Darwin" or not os.access(PROGRAM, os.X_OK):
        raise SandboxUnavailable(
            f"no sandbox: Seatbelt needs macOS and its {PROGRAM}; on Linux use bubblewrap"
        )
    if profile.strength is not Strength.OS:
        raise SandboxUnavailable(f"no sandbox: Seatbelt is not of the strength {profile.strength.value!r}")
    if not argv or any("\0" in word for word in argv):
        raise BackendError("a command is one or more words without NUL characters")
    extra = list(read)
    mounts(profile, extra)  # it refuses the same workspaces and missing paths as on Linux
    with tempfile.TemporaryDirectory(prefix="blastwall-") as folder:
        scratch = os.path.realpath(folder)
        for name in ("home", "temporary", "workspace"):
            Path(scratch, name).mkdir(mode=0o700)
        own = {
            "HOME": f"{scratch}/home",
            "TMPDIR": f"{scratch}/temporary",
            "PATH": PATH,
            "LANG": "en_US.UTF-8",
        }
        text = profile_text(
            _resolved(profile),
            home=os.path.realpath(Path.home()),
            scratch=scratch,
            read=[os.path.realpath(path) for path in extra],
            proxy_port=proxy_port,
        )
        words = (PROGRAM, "-p", text, "/bin/sh", "-c", _LIMITED, "sh", *_limits(profile), *argv)
        yield Confined(words, own | dict(profile.env) | dict(env or {}), _start_in(profile, scratch))


def _start_in(profile: Profile, scratch: str) -> str:
    top = os.path.abspath(profile.workspace) if profile.workspace else f"{scratch}/workspace"
    start = os.path.normpath(os.path.join(top, profile.directory))
    if not within(start, [top]):
        raise BackendError(f"the sandbox profile starts in {profile.directory!r}, outside its workspace")
    return start


def _resolved(profile: Profile) -> Profile:
    """Follow the symlinks of a profile's paths: the kernel compares where they lead."""
    workspace = None if profile.workspace is None else Path(os.path.abspath(profile.workspace))
    followed = (
        tuple(Path(os.path.realpath(path)) for path in paths) for paths in (profile.read, profile.mask)
    )
    read, mask = followed
    return replace(profile, workspace=workspace, read=read, mask=mask)


def _limits(profile: Profile) -> tuple[str, ...]:
    """Give what macOS can limit for a process: processor time, the size of files, and open descriptors."""
    cpu = math.ceil(profile.cpu_s if profile.cpu_s is not None else profile.timeout_s) + 1
    return (str(cpu), str((profile.file_mb << 20) // _BLOCK), str(profile.open_files))
