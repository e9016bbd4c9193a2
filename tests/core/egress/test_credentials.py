"""Where real credentials come from, and what is said when they can't be had: never they themselves."""

import os
import sys
import types

import pytest

from blastwall.egress import credentials
from blastwall.egress.credentials import Secret, read
from blastwall.errors import BackendError
from blastwall.values import Credential, Source

VALUE = "s3cret-value-123"


def credential(source, *locator):
    return Credential("api", source, locator, ("api.test",))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "token"
    path.write_text(VALUE + "\n")
    path.chmod(0o600)
    return path


def test_from_the_environment(monkeypatch):
    monkeypatch.setenv("A_TOKEN", VALUE)
    assert read(credential(Source.ENV, "A_TOKEN")) == Secret(VALUE)


def test_from_a_file(file):
    assert read(credential(Source.FILE, str(file))).value == VALUE


def test_from_a_file_of_the_home(file, monkeypatch):
    monkeypatch.setenv("HOME", str(file.parent))
    assert read(credential(Source.FILE, "~/token")).value == VALUE


def test_from_a_command(tmp_path):
    code = f"import sys; print({VALUE!r}); print('noise', file=sys.stderr)"
    assert read(credential(Source.COMMAND, sys.executable, "-c", code)).value == VALUE
    assert read(credential(Source.COMMAND, "printf", "%s\\r\\n", VALUE)).value == VALUE


def test_from_a_keyring(monkeypatch):
    kept = {("service", "me"): VALUE}
    fake = types.SimpleNamespace(get_password=lambda service, user: kept.get((service, user)))
    monkeypatch.setitem(sys.modules, "keyring", fake)
    assert read(credential(Source.KEYRING, "service", "me")).value == VALUE
    with pytest.raises(BackendError, match="keyring set service you"):
        read(credential(Source.KEYRING, "service", "you"))

    def locked(service, user):
        raise RuntimeError(VALUE)

    fake.get_password = locked
    with pytest.raises(BackendError, match="unlock it") as failed:
        read(credential(Source.KEYRING, "service", "me"))
    assert VALUE not in str(failed.value)
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(BackendError, match="pip install"):
        read(credential(Source.KEYRING, "service", "me"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_file_that_is_open_to_others(file, mode):
    file.chmod(mode)
    with pytest.raises(BackendError, match="chmod 600"):
        read(credential(Source.FILE, str(file)))


def test_a_file_that_is_somebody_else_s(file, monkeypatch):
    monkeypatch.setattr(credentials.os, "geteuid", lambda: 12345)
    owner = file.stat().st_uid
    if owner == 0:
        os.chown(file, 4321, -1)
    with pytest.raises(BackendError, match="belongs to somebody else"):
        read(credential(Source.FILE, str(file)))


def test_files_that_are_none(file, tmp_path):
    link, fifo = tmp_path / "link", tmp_path / "fifo"
    link.symlink_to(file)
    os.mkfifo(fifo, 0o600)
    for path, reason in (
        (link, "no symlink"),
        (fifo, "ordinary"),
        (tmp_path, "ordinary"),
        (tmp_path / "x", "No such"),
    ):
        with pytest.raises(BackendError, match=reason):
            read(credential(Source.FILE, str(path)))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "short",
        "two\nlines-of-it",
        "a\0bcdefgh",
        "a\rbcdefgh",
        "ümlaut-in-it",
        " padded-value",
        "x" * 9000,
        "tab\tbed-value",
    ],
)
def test_values_that_no_header_holds(file, value):
    file.write_bytes(value.encode())
    with pytest.raises(BackendError, match="the credential 'api' can't be used") as failed:
        read(credential(Source.FILE, str(file)))
    assert not value or value not in str(failed.value)


def test_what_is_no_text(file):
    file.write_bytes(b"\xff" * 20)
    with pytest.raises(BackendError, match="no text"):
        read(credential(Source.FILE, str(file)))


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("sh", "-c", f"echo {VALUE} >&2; echo {VALUE}; exit 3"), "exit code 3"),
        (("/nonexistent/helper",), "can't be started"),
        ((), "name a command"),
        (("a\0b",), "name a command"),
        (("sleep", "60"), "longer than"),
    ],
)
def test_commands_that_fail(argv, reason, monkeypatch):
    monkeypatch.setattr(credentials, "_COMMAND_S", 0.3)
    with pytest.raises(BackendError, match=reason) as failed:
        read(credential(Source.COMMAND, *argv))
    assert VALUE not in str(failed.value)


@pytest.mark.parametrize("source", [Source.ENV, Source.FILE, Source.KEYRING])
def test_locators_of_another_kind(source):
    for locator in ((), ("a", "b", "c"), ("",), ("a\0b",)):
        with pytest.raises(BackendError, match="something else was named"):
            read(credential(source, *locator))


def test_an_unset_variable(monkeypatch):
    monkeypatch.delenv("A_TOKEN", raising=False)
    with pytest.raises(BackendError, match="set the environment variable A_TOKEN"):
        read(credential(Source.ENV, "A_TOKEN"))


def test_nobody_prints_it():
    assert VALUE not in repr(Secret(VALUE)) + str(Secret(VALUE)) + f"{Secret(VALUE)}"
