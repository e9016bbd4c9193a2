"""Real credentials, read on the host at the moment they are needed, and never shown by accident."""

import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from blastwall.errors import BackendError
from blastwall.values import Credential, Source

SHORTEST = 8
"""What is shorter can't be told from ordinary text, and so not be kept out of responses."""

LONGEST = 8192
_COMMAND_S = 30.0


@dataclass(frozen=True, slots=True)
class Secret:
    """A real value. It shows itself to nobody who prints it."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "Secret(hidden)"


def read(credential: Credential) -> Secret:
    """Get the real value of a credential from where it is kept.

    Raises:
        BackendError: when it is not there, or where it is kept is open to others. Nothing of it is told.

    """
    try:
        text = _SOURCES[credential.source](credential.locator)
        _check(text)
    except BackendError as error:
        raise BackendError(f"the credential {credential.name!r} can't be used: {error}") from None
    return Secret(text)


def _check(text: str) -> None:
    if not text.isprintable() or not text.isascii() or text != text.strip():
        raise BackendError("it holds line breaks, controls, or letters that no HTTP header may hold")
    if not SHORTEST <= len(text) <= LONGEST:
        raise BackendError(f"it must have between {SHORTEST} and {LONGEST} characters")


def _from_env(locator: tuple[str, ...]) -> str:
    (variable,) = _words(locator, 1, "the name of a variable")
    value = os.environ.get(variable)
    if not value:
        raise BackendError(f"set the environment variable {variable}")
    return value


def _from_file(locator: tuple[str, ...]) -> str:
    (path,) = _words(locator, 1, "a path")
    try:
        descriptor = os.open(
            os.path.expanduser(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        )
    except OSError as error:
        raise BackendError(f"{path}: {error.strerror}; it must be an ordinary file, and no symlink") from None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise BackendError(f"{path} is no ordinary file")
        if about.st_uid not in (os.geteuid(), 0):
            raise BackendError(f"{path} belongs to somebody else: chown it to yourself")
        if about.st_mode & 0o077:
            raise BackendError(f"{path} is open to others: chmod 600 it")
        return _text(os.read(descriptor, LONGEST + 3))
    finally:
        os.close(descriptor)


def _from_keyring(locator: tuple[str, ...]) -> str:
    service, user = _words(locator, 2, "a service and a user")
    try:
        import keyring  # noqa: PLC0415  # optional, and slow to import
    except ImportError:
        raise BackendError("install keyring: pip install 'blastwall[keyring]'") from None
    try:
        value = keyring.get_password(service, user)
    except Exception as error:  # noqa: BLE001  # whatever its backend raises
        raise BackendError(f"the keyring can't be read: {type(error).__name__}; unlock it") from None
    if not value:
        raise BackendError(f"the keyring holds nothing for {service}, {user}: keyring set {service} {user}")
    return value


def _from_command(locator: tuple[str, ...]) -> str:
    if not locator or any("\0" in word for word in locator):
        raise BackendError("name a command and its arguments")
    try:
        done = subprocess.run(
            locator, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"{locator[0]} took longer than {_COMMAND_S:g} s") from None
    except OSError as error:
        raise BackendError(f"{locator[0]} can't be started: {error.strerror}") from None
    if done.returncode:
        raise BackendError(f"{locator[0]} failed with exit code {done.returncode}; run it by hand to see why")
    return _text(done.stdout[: LONGEST + 3])


def _text(data: bytes) -> str:
    """Take one line, with or without its end."""
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise BackendError("it is no text") from None


def _words(locator: tuple[str, ...], count: int, what: str) -> tuple[str, ...]:
    if len(locator) != count or not all(locator) or any("\0" in word for word in locator):
        raise BackendError(f"it is kept at {what}, and something else was named")
    return locator


_SOURCES: Mapping[Source, Callable[[tuple[str, ...]], str]] = {
    Source.ENV: _from_env,
    Source.FILE: _from_file,
    Source.KEYRING: _from_keyring,
    Source.COMMAND: _from_command,
}
