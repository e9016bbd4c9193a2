"""Copies of a workspace: an agent writes in one, and a person looks before anything is taken over."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from blastwall.errors import BackendError
from blastwall.paths import state_directory
from blastwall.sandbox.filling import fill
from blastwall.sandbox.mounts import mounts, within
from blastwall.sandbox.trees import Entry, Kind, opened, remove
from blastwall.values import Profile

_TREE, _MANIFEST, _LOCK = "workspace", "manifest.json", "lock"
_NEW, _GONE = ".new-", ".gone-"
"""Beginnings of names that no copy has: those of one that is being made, and of one that is being removed."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a workspace.

    Attributes:
        id: Its name.
        folder: Where it lies: the workspace of whatever runs in it.
        workspace: What it is a copy of.
        made: When, in ISO 8601.
        baseline: What was copied: each path as it was then.
        left_out: Paths of the workspace that are not in the copy, each with the reason.
        protect: What the profile protects beside the built-in names.

    """

    id: str
    folder: Path
    workspace: Path
    made: str
    baseline: Mapping[str, Entry]
    left_out: tuple[tuple[str, str], ...]
    protect: tuple[str, ...]

    @contextmanager
    def running(self) -> Iterator[Path]:
        """Hold it while something runs in it, so that nobody takes over what is still being written.

        Raises:
            BackendError: when it is being applied or discarded.

        """
        with _locked(self._lock, fcntl.LOCK_SH, f"the copy {self.id} is being applied: run again later"):
            yield self.folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it while nothing runs in it.

        Raises:
            BackendError: when something does.

        """
        busy = f"something still runs in the copy {self.id}: wait for its end, or stop it"
        with _locked(self._lock, fcntl.LOCK_EX, busy):
            yield

    @property
    def _lock(self) -> Path:
        return self.folder.with_name(_LOCK)


class Copies:
    """A folder of copies, closed to everybody else.

    It must not be one that sandboxes may write or that policies mask, such as the one of the audit log.
    """

    def __init__(self, path: Path) -> None:
        """Make nothing yet: the first copy does."""
        self.path = Path(os.path.realpath(path))

    def make(self, workspace: Path, *, protect: Iterable[str] = ()) -> Copy:
        """Copy a workspace: its files, folders and symlinks, with their modes.

        Files that may hold credentials (`.env`, private keys) stay out of it, and so does what is neither
        file nor folder nor symlink. For root the copy belongs to the workspace's owner, or to nobody.

        Raises:
            BackendError: when the folder is no workspace, or can't be copied. Nothing is left behind.

        """
        source = os.path.abspath(workspace)
        mounts(Profile("copy", workspace=Path(source)), ())  # a folder that nobody may write is not copied
        if within(source, [str(self.path)]) or within(str(self.path), [source]):
            raise BackendError(f"{source} and {self.path}, the folder of copies, lie in each other")
        made = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            with self._place() as place:
                filling = fill(source, place / _TREE)
                left_out, kept = tuple(filling.left_out), tuple(protect)
                told = {
                    "workspace": source,
                    "made": made,
                    "protect": kept,
                    "left_out": left_out,
                    "baseline": {
                        path: (e.kind.value, e.mode, e.size, e.content)
                        for path, e in filling.baseline.items()
                    },
                }
                (place / _MANIFEST).write_text(json.dumps(told), encoding="ascii")
                name = self._named(place)
        except OSError as error:
            raise BackendError(f"{source} can't be copied to {self.path}: {error.strerror}") from error
        return Copy(name, self.path / name / _TREE, Path(source), made, filling.baseline, left_out, kept)

    def ids(self) -> list[str]:
        """List the copies, oldest first."""
        return sorted(place.parent.name for place in self.path.glob(f"[!.]*/{_MANIFEST}"))

    def find(self, name: str) -> Copy:
        """Give a copy.

        Raises:
            BackendError: when there is none of this id, or it can't be read.

        """
        if name not in self.ids():
            raise BackendError(f"there is no copy {name!r}: `blastwall diff` lists them")
        place = self.path / name
        try:
            told = json.loads((place / _MANIFEST).read_text(encoding="ascii"))
            baseline = {path: Entry(Kind(kind), *rest) for path, (kind, *rest) in told["baseline"].items()}
            left_out = tuple((str(path), str(why)) for path, why in told["left_out"])
            protect, workspace = tuple(map(str, told["protect"])), Path(told["workspace"])
            return Copy(name, place / _TREE, workspace, str(told["made"]), baseline, left_out, protect)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BackendError(f"{place / _MANIFEST} can't be read ({type(error).__name__})") from None

    def discard(self, name: str) -> None:
        """Remove a copy with everything in it; the workspace stays as it is.

        Raises:
            BackendError: when there is none of this id, something runs in it, or it can't be removed.

        """
        copy = self.find(name)
        try:
            with copy.alone():
                gone = self.path / f"{_GONE}{secrets.token_hex(8)}"
                (self.path / name).rename(gone)
                self._remove(gone.name)
        except OSError as error:
            raise BackendError(f"the copy {name} can't be removed: {error.strerror}") from error

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """Make a place for a copy; it goes again unless it was given a name."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)
        place = self.path / f"{_NEW}{secrets.token_hex(8)}"
        with contextlib.ExitStack() as stack:
            with _locked(self.path / _LOCK, fcntl.LOCK_EX, "", wait=True):
                self._sweep()
                place.mkdir(mode=0o700)
                stack.enter_context(_locked(place / _LOCK, fcntl.LOCK_EX, ""))
                stack.callback(self._forget, place)
            yield place

    def _named(self, place: Path) -> str:
        """Give a finished copy its name. A name that is taken belongs to a folder that is not empty."""
        while True:
            name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
            try:
                place.rename(self.path / name)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                return name

    def _forget(self, place: Path) -> None:
        if place.exists():
            self._remove(place.name)

    def _sweep(self) -> None:
        """Remove what was interrupted when it was made, or removed: nobody holds its lock."""
        for place in (*self.path.glob(f"{_NEW}*"), *self.path.glob(f"{_GONE}*")):
            with contextlib.suppress(OSError, BackendError), _locked(place / _LOCK, fcntl.LOCK_EX, ""):
                self._remove(place.name)

    def _remove(self, name: str) -> None:
        with opened(str(self.path)) as folder:
            remove(folder, name)


def of_user() -> Copies:
    """Give this user's copies. They lie beside the state, not in it: that is masked in every sandbox."""
    state = state_directory()
    return Copies(state.with_name(f"{state.name}-copies"))


@contextmanager
def temporary(workspace: Path) -> Iterator[Copy]:
    """Copy a workspace for the length of a block; afterwards the copy is gone, whatever happened in it.

    Raises:
        BackendError: when the folder is no workspace, or can't be copied.

    """
    with tempfile.TemporaryDirectory(prefix="blastwall-") as folder:
        copies = Copies(Path(folder))
        copy = copies.make(workspace)
        try:
            yield copy
        finally:
            copies.discard(copy.id)


@contextmanager
def _locked(path: Path, how: int, busy: str, *, wait: bool = False) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BackendError(f"{path} can't be locked: {error.strerror}") from error
    with os.fdopen(descriptor):
        try:
            fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackendError(busy) from None
        yield
