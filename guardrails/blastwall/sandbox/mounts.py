"""What of the host a profile shows, and what it covers: a list of mounts, decided before any is made."""

import os
import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from blastwall.errors import BackendError
from blastwall.values import Profile

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Programs and libraries: root owns them, and nobody keeps secrets there."""

ETC = (
    "alternatives ca-certificates ca-certificates.conf fonts gai.conf host.conf ld.so.cache ld.so.conf"
    " ld.so.conf.d locale.alias localtime magic mime.types nsswitch.conf os-release pki profile.d protocols"
    " services ssl/certs ssl/openssl.cnf terminfo timezone"
).split()
"""The parts of /etc that ordinary programs read. The rest of it does not exist inside."""

SECRETS = (
    ".aws .azure .bash_history .boto .cargo/credentials .cargo/credentials.toml .claude .claude.json .codex"
    " .config/chromium .config/gcloud .config/gh .config/git/credentials .config/google-chrome .config/hub"
    " .config/op .config/rclone .docker/config.json .gemini .git-credentials .gnupg .kube"
    " .local/share/keyrings .local/state/blastwall .mozilla .netrc .npmrc .password-store .pgpass .pypirc"
    " .python_history .ssh .terraform.d .vault-token .yarnrc.yml .zsh_history"
).split()
"""Where people's credentials lie, under every home: covered whenever a read path would show them."""

SYSTEM_SECRETS = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/sudoers")


class Kind(Enum):
    """How a place inside comes about."""

    READ = "read"
    WRITE = "write"
    SYMLINK = "symlink"
    EMPTY_FOLDER = "empty folder"
    EMPTY_FILE = "empty file"


@dataclass(frozen=True, slots=True)
class Mount:
    """One place inside. `source` is a host path, a symlink's text, or unused."""

    kind: Kind
    target: str
    source: str = ""
    ours: bool = False
    """Whether the source is under the caller's control, so that it must be pinned before it is used."""


def mounts(profile: Profile, read: Iterable[Path]) -> tuple[Mount, ...]:
    """Decide what the sandbox sees, outermost first.

    Args:
        profile: What may be touched.
        read: More readable paths, such as an interpreter's.

    Raises:
        BackendError: when a path is missing, or the workspace is no folder that may be given away.

    """
    shown = [_shown(path) for path in (*profile.read, *read)]
    visible = list(dict.fromkeys(shown))
    found = [*(() if "/" in visible else _system())]
    found += [Mount(Kind.READ, path, path, ours=True) for path in sorted(visible, key=_depth)]
    hidden = set(_hidden(profile))
    if profile.workspace is not None:
        workspace = _workspace(profile.workspace, hidden)
        found.append(Mount(Kind.WRITE, workspace, workspace, ours=True))
        visible.append(workspace)
    found += [_cover(path) for path in sorted(hidden, key=_depth) if _within(path, visible)]
    return tuple(found)


def _shown(path: Path) -> str:
    real = os.path.realpath(path)
    if not os.path.exists(real):
        raise BackendError(f"the sandbox profile reads {path}, which does not exist: take it off the profile")
    return real


def _system() -> Iterator[Mount]:
    for path in SYSTEM:
        if os.path.islink(path):
            yield Mount(Kind.SYMLINK, path, os.readlink(path))
        elif os.path.isdir(path):
            yield Mount(Kind.READ, path, path)
    for name in ETC:
        path = f"/etc/{name}"
        if os.path.islink(path):
            yield Mount(Kind.SYMLINK, path, os.readlink(path))
        elif os.path.exists(path):
            yield Mount(Kind.READ, path, path)


def _hidden(profile: Profile) -> Iterator[str]:
    """Give every path that must read as empty, and where it really lies, if it exists."""
    homes = {str(Path.home()), *(entry.pw_dir for entry in pwd.getpwall() if entry.pw_dir != "/")}
    named = [f"{home}/{secret}" for home in homes for secret in SECRETS]
    for path in (*named, *SYSTEM_SECRETS, *map(str, profile.mask)):
        if os.path.lexists(path):
            yield os.path.realpath(path)


def _workspace(path: Path, hidden: set[str]) -> str:
    """Check the one folder that may be written."""
    given = os.path.abspath(path)
    if os.path.realpath(given) != given:
        raise BackendError(f"the workspace {path} is reached by a symlink: name the folder it leads to")
    if not os.path.isdir(given):
        raise BackendError(f"the workspace {path} is no folder: make it first")
    homes = {os.path.realpath(entry.pw_dir) for entry in pwd.getpwall()} | {os.path.realpath(Path.home())}
    real_homes = {
        home for home in homes if os.path.isdir(home) and home not in ("/", *SYSTEM, "/dev", "/proc")
    }
    if given in ("/", *SYSTEM, "/etc", "/dev", "/proc", "/tmp", "/run") or given in real_homes:  # noqa: S108
        raise BackendError(f"{given} can't be a workspace: use a folder made for the task")
    if _within(given, hidden) or any(_within(secret, [given]) for secret in hidden):
        raise BackendError(f"the workspace {given} holds credentials or lies among them: use another folder")
    return given


def _cover(path: str) -> Mount:
    return Mount(Kind.EMPTY_FOLDER if os.path.isdir(path) else Kind.EMPTY_FILE, path)


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _depth(path: str) -> int:
    return path.rstrip("/").count("/")
