"""A command with our own input and output: what passes, what is kept, and when it ends."""

import os
import signal
from contextlib import contextmanager
from dataclasses import replace

import pytest

from blastwall.sandbox.attached import attach
from blastwall.sandbox.launch import launch


@contextmanager
def given(data, *, ends=True):
    """Make this our input for the block."""
    source, feed = os.pipe()
    saved = os.dup(0)
    os.dup2(source, 0)
    os.close(source)
    os.write(feed, data)
    if ends:
        os.close(feed)
    try:
        yield
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        if not ends:
            os.close(feed)


def attached(profile, command, data=b"", *, ends=True, **options):
    with given(data, ends=ends), launch(["sh", "-c", command], profile) as running:
        return attach(running, profile, **options)


def test_everything_passes(capfdbinary, profile):
    done = attached(profile, "read line; echo got $line; cat; echo err >&2; exit 5", b"one\ntwo")
    assert capfdbinary.readouterr() == (b"got one\ntwo", b"err\n")
    assert (done.returncode, done.stdout, done.stderr, done.timed_out) == (5, b"", b"err\n", False)


def test_what_is_kept_is_not_passed_on(capfdbinary, profile):
    command = "read line; echo got $line; yes | head -c 5000 >&2"
    done = attached(replace(profile, output_kb=1), command, b"one\n", keep=True)
    assert capfdbinary.readouterr() == (b"", b"")
    assert (done.stdout, len(done.stderr), done.truncated) == (b"got one\n", 1024, True)


def test_an_end_that_was_left_open(capfdbinary, profile):
    """Something in the background holds the outputs: it dies with the command."""
    done = attached(profile, "echo there; sleep 50 & exit 3")
    assert (done.returncode, capfdbinary.readouterr().out) == (3, b"there\n")


def test_an_input_that_does_not_end(capfdbinary, profile):
    assert attached(profile, "echo over", ends=False).returncode == 0
    assert capfdbinary.readouterr().out == b"over\n"


@pytest.mark.parametrize("keep", [False, True])
def test_time_is_up(capfdbinary, profile, keep):
    done = attached(replace(profile, timeout_s=1), "echo there; exec sleep 50", keep=keep)
    assert (done.returncode, done.timed_out) == (-signal.SIGKILL, True)
    assert done.stdout + capfdbinary.readouterr().out == b"there\n"


def test_it_grows_too_large(capfdbinary, profile):
    done = attached(replace(profile, disk_mb=1), "head -c 9000000 /dev/zero > file; sleep 50")
    assert done.overgrown
    assert capfdbinary.readouterr() == (b"", b"")
