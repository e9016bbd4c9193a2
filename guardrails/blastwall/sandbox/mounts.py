"""What of the host a profile shows, and what it covers: a list of mounts, decided before any is made."""

import errno
import os
import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from blastwall.errors import BackendError
from blastwall.sandbox._reaper import stands_in
from blastwall.sandbox.protect import SECRET, Guarded
from blastwall.values import Profile

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Programs and libraries: root owns them, and nobody keeps secrets there."""

ETC = (
    "alternatives fonts ld.so.cache localtime mime.types nsswitch.conf os-release pki/ca-trust"
    " pki/tls/cert.pem pki/tls/certs pki/tls/openssl.cnf protocols services ssl/certs ssl/openssl.cnf"
    " terminfo timezone"
).split()
"""The parts of /etc that ordinary programs read. The rest of it does not exist inside."""

SECRETS = (
    ".aws .azure .bash_history .boto .cache/huggingface/token .cargo/credentials .cargo/credentials.toml"
    " .claude .claude.json .codex .composer/auth.json .config/BraveSoftware .config/chromium"
    " .config/containers/auth.json .config/gcloud .config/gh .config/git/credentials .config/google-chrome"
    " .config/hub .config/op .config/rclone .config/sops .databrickscfg .docker/config.json .fly"
    " .gem/credentials .gemini .git-credentials .gnupg .gradle/gradle.properties .kaggle .kube"
    " .local/share/keyrings .local/state/blastwall .m2/settings.xml .mozilla .my.cnf .mysql_history .netrc"
    " .npmrc .oci .password-store .pgpass .psql_history .pypirc .python_history .s3cfg .ssh .terraform.d"
    " .terraformrc .vault-token .yarnrc.yml .zsh_history"
).split()
"""Where people's credentials lie, under every home: covered whenever a read path would show them."""

SYSTEM_SECRETS = (
    "/etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow- /etc/ssh /etc/ssl/private /etc/sudoers /run/secrets"
).split()

_SHARED = (
    "/",
    *SYSTEM,
    *"/boot /dev /dev/shm /etc /home /opt /proc /run /srv /sys /tmp /var /var/tmp".split(),
)
"""Folders that belong to everybody: no workspace."""

_HOME_MARKS = (".ssh", ".bashrc", ".profile", ".zshrc", ".gnupg", ".aws")
"""A folder that holds one of these is somebody's home, wherever it lies."""

_OWN = ("/proc", "/dev", "/run", "/tmp")  # noqa: S108
"""Folders of which the sandbox has its own."""

_NO_HOMES = ("/", "/bin", "/dev", "/sbin", "/usr/bin", "/usr/sbin")
"""What system accounts have for a home."""

SCRATCH = "/run/workspace"
"""Where commands start when there is no workspace."""

_MOST_LINKS = 40
"""Symlinks that one path may pass, as on Linux (path_resolution(7))."""


_SWAPPED = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ELOOP)
"""What the system says of a symlink that is gone, or none any more, by the time that it is read."""


class Kind(Enum):
    """How a place inside comes about."""

    READ = "read"
    WRITE = "write"
    SYMLINK = "symlink"
    EMPTY_FOLDER = "empty folder"
    EMPTY_FILE = "empty file"


_COVERS = (Kind.EMPTY_FOLDER, Kind.EMPTY_FILE)


@dataclass(frozen=True, slots=True)
class Mount:
    """One place inside. `source` is a host path, a symlink's text, or unused."""

    kind: Kind
    target: str
    source: str = ""
    ours: bool = False
    """Whether the source is under the caller's control, so that it must be pinned before it is used."""


def mounts(profile: Profile, read: Iterable[Path]) -> tuple[Mount, ...]:
    """Decide what the sandbox sees, outermost first. What is masked wins over everything.

    Args:
        profile: What may be touched.
        read: More readable paths, such as an interpreter's.

    Raises:
        BackendError: when a path is missing, or the workspace is no folder that may be given away, or
            somebody swaps one of them meanwhile.

    """
    try:
        return _decided(profile, read)
    except OSError as error:
        if error.errno not in _SWAPPED:
            raise
        raise BackendError(
            f"{error.filename} was swapped for something else while the sandbox was made: try again"
        ) from None


def _decided(profile: Profile, read: Iterable[Path]) -> tuple[Mount, ...]:
    found = [*_system(), *(mount for path in (*profile.read, *read) for mount in _shown(path))]
    found = list(_outermost(found))
    secrets, masked = set(_existing(_known(found))), set(_existing(map(str, profile.mask)))
    if profile.workspace is not None:
        workspace = _workspace(profile.workspace, secrets, masked)
        found.append(Mount(Kind.WRITE, workspace_inside(profile), workspace, ours=True))
    return (
        *found,
        *_covers(secrets | masked, [mount.target for mount in found if mount.kind is not Kind.SYMLINK]),
    )


def workspace_inside(profile: Profile) -> str:
    """Give the path of the workspace as seen inside."""
    if profile.workspace is None:
        return SCRATCH
    return os.path.abspath(profile.shown_as or profile.workspace)


def protecting(shown: tuple[Mount, ...], profile: Profile, guarded: Guarded) -> tuple[Mount, ...]:
    """Add what keeps the protected paths of a workspace as they are.

    Each is mounted over itself, read-only, and so can be neither removed nor replaced. The folders on the way
    to it are mounted over themselves too: otherwise one could rename `.git` away and make another.
    """
    if profile.workspace is None:
        return shown
    names = sorted({*guarded.there, *(name for name, _ in guarded.missing)})
    source, top = os.path.abspath(profile.workspace), workspace_inside(profile)
    held: list[Mount] = []
    covers: list[Mount] = []
    above = {parent for name in names for parent in _above(name)}
    for name in sorted({*above, *names}, key=_depth):
        path = f"{top}/{name}"
        if os.path.basename(name).casefold() in SECRET and os.path.isfile(f"{source}/{name}"):
            covers.append(Mount(Kind.EMPTY_FILE, path))
        elif not within(path, [mount.target for mount in held if mount.kind is Kind.READ]):
            kind = Kind.READ if name in names else Kind.WRITE
            held.append(Mount(kind, path, f"{source}/{name}", ours=True))
    masked = {mount.target for mount in shown if mount.kind in _COVERS}
    return (
        *(mount for mount in shown if mount.kind not in _COVERS),
        *(mount for mount in held if not within(mount.target, masked)),
        *(mount for mount in shown if mount.kind in _COVERS),
        *(mount for mount in covers if not within(mount.target, masked)),
    )


def _above(name: str) -> Iterator[str]:
    while name := os.path.dirname(name):
        yield name


def within(path: str, folders: Iterable[str]) -> bool:
    """Say whether a real path is one of these, or below one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _system() -> Iterator[Mount]:
    for path in (*SYSTEM, *(f"/etc/{name}" for name in ETC)):
        if os.path.islink(path):
            yield Mount(Kind.SYMLINK, path, os.readlink(path))
        elif os.path.exists(path):
            yield Mount(Kind.READ, path, path)


def _shown(path: Path) -> Iterator[Mount]:
    """Show a path under every name that it was given by: its symlinks, and where they lead."""
    links, real = _followed(path)
    for place, text in links.items():
        yield Mount(Kind.SYMLINK, place, text)
    if not os.path.exists(real):
        raise BackendError(f"the sandbox profile reads {path}, which does not exist: take it off the profile")
    if real in _OWN or within(real, ("/proc", "/dev")):
        raise BackendError(f"the sandbox profile reads {path}, but every sandbox has its own {real}")
    yield Mount(Kind.READ, real, real, ours=True)


def _followed(path: Path) -> tuple[dict[str, str], str]:
    """Give the symlinks on the way to a path, each where it lies, and the end of the way."""
    links: dict[str, str] = {}
    real, ahead = "/", os.path.abspath(path).split("/")[::-1]
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        step = os.path.dirname(real) if name == ".." else os.path.join(real, name)
        if name == ".." or not os.path.islink(step):
            real = step
            continue
        if len(links) == _MOST_LINKS or step in links:
            raise BackendError(f"the sandbox profile reads {path}, whose symlinks lead nowhere")
        links[step] = os.readlink(step)
        real = "/" if links[step].startswith("/") else real
        ahead.extend(links[step].split("/")[::-1])
    return links, real


def _outermost(found: list[Mount]) -> Iterator[Mount]:
    """Leave out what another mount shows already."""
    kept: dict[str, Mount] = {}
    folders: list[str] = []
    for mount in sorted(found, key=lambda mount: _depth(mount.target)):
        if mount.target in kept or within(mount.target, folders):
            continue
        kept[mount.target] = mount
        if mount.kind is Kind.READ:
            folders.append(mount.target)
    yield from kept.values()


def _known(found: list[Mount]) -> Iterator[str]:
    """Give every path at which credentials may lie."""
    shown = [mount.target for mount in found if mount.ours]
    homes = {str(Path.home()), *(entry.pw_dir for entry in pwd.getpwall() if entry.pw_dir not in _NO_HOMES)}
    homes.update(folder for top in ("/home", *shown) for folder in (top, *_folders(top)) if _is_home(folder))
    yield from (secret for home in homes for secret in _secrets(home))
    yield from SYSTEM_SECRETS


def _existing(paths: Iterable[str]) -> Iterator[str]:
    """Give where these really lie, if they exist."""
    for path in paths:
        real = os.path.realpath(path)
        # Some people make their history a link to /dev/null. And another sandbox may be using the workspace.
        if os.path.exists(real) and not within(real, ("/dev", "/proc")) and not stands_in(real):
            yield real


_BY_FIRST = {
    first: [secret for secret in SECRETS if secret.split("/")[0] == first]
    for first in {secret.split("/")[0] for secret in SECRETS}
}


def _secrets(home: str) -> Iterator[str]:
    for first in _names(home) & _BY_FIRST.keys():
        yield from (f"{home}/{secret}" for secret in _BY_FIRST[first])


def _is_home(folder: str) -> bool:
    return any(os.path.lexists(f"{folder}/{mark}") for mark in _HOME_MARKS)


def _names(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))
    except PermissionError:
        return set(_BY_FIRST)  # what can't be listed may still be passed through
    except OSError:
        return set()


def _folders(top: str) -> Iterator[str]:
    try:
        with os.scandir(top) as entries:
            yield from (entry.path for entry in entries if entry.is_dir())
    except OSError:
        return


def _workspace(path: Path, secrets: set[str], masked: set[str]) -> str:
    """Check the one folder that may be written. What is masked may lie in it, credentials may not."""
    given = os.path.abspath(path)
    if os.path.realpath(given) != given:
        raise BackendError(f"the workspace {path} is reached by a symlink: name the folder it leads to")
    if not os.path.isdir(given):
        raise BackendError(f"the workspace {path} is no folder: make it first")
    homes = {os.path.realpath(entry.pw_dir) for entry in pwd.getpwall()} | {os.path.realpath(Path.home())}
    if given in _SHARED or within(given, ("/proc", "/sys")) or any(within(home, [given]) for home in homes):
        raise BackendError(f"{given} can't be a workspace: use a folder made for the task")
    if within(given, secrets | masked) or any(within(secret, [given]) for secret in secrets):
        raise BackendError(f"the workspace {given} holds credentials or lies among them: use another folder")
    return given


def _covers(hidden: set[str], visible: list[str]) -> Iterator[Mount]:
    """Cover what would be seen, or has something below it that would; a cover needs none below itself."""
    for path in sorted(hidden, key=_depth):
        seen = within(path, visible) or any(within(shown, [path]) for shown in visible)
        if seen and not within(path, hidden - {path}):
            yield Mount(Kind.EMPTY_FOLDER if os.path.isdir(path) else Kind.EMPTY_FILE, path)


def _depth(path: str) -> int:
    return path.rstrip("/").count("/")
