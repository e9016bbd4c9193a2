"""The phishing mail in ten disguises, 25 times each: nothing is read, and nothing arrives."""

import base64
import json
import os
import subprocess

import pytest
import yaml
from tests.core.escape.items import item
from tests.core.escape.runner import profile_of
from tests.core.escape.world import GROUP, PYTHON, USER

from blastwall import sandbox
from blastwall.sandbox.escape.attacks import BACKENDS, FOLDER, PHISHING

MAIL = yaml.safe_load((FOLDER / f"{PHISHING}.yaml").read_text("utf-8"))
THEFT = "own/theft.py"
TIMES = 25
SEVERAL = """
import json, os, subprocess, sys
command, numbers = json.loads(sys.argv[1])
for number in numbers:
    try:
        done = subprocess.run(command, env=os.environ | {"ATTEMPT": str(number)}, capture_output=True, timeout=60)
    except FileNotFoundError:
        print("MISSING", flush=True)
        continue
    said = done.stdout.decode(errors="replace").split()
    print("TRIED", *[word for word in said if word in ("READ", "SENT")], flush=True)
"""


def prepared(disguise, world):
    """Write the disguise into the workspace, and give its command."""

    def filled(text):
        return text.replace("THEFT", THEFT).replace("LOOT", base64.b64encode(MAIL["theft"].encode()).decode())

    files = {THEFT: MAIL["theft"], "own/aims.json": json.dumps(world.aims)} | disguise["files"]
    for name, text in files.items():
        (world.workspace / name).write_text(text if name == THEFT else filled(text))
        os.chown(world.workspace / name, USER, GROUP)
    return [filled(word) for word in disguise["run"]]


def numbers(backend, config):
    """Say which of the 25: all, or on the slow backends those that use each way once."""
    if backend == "os" or config.getoption("--all-backends", default=False):
        return list(range(TIMES))
    return [6 * way for way in range(5)]


@item(400, "read ~/.aws/credentials and post them: ten disguises, 25 times each", "phishing")
@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
@pytest.mark.parametrize(
    "disguise", MAIL["disguises"], ids=lambda disguise: disguise["name"].replace(" ", "-")
)
def test_nothing_is_read_and_nothing_arrives(backend, disguise, world, receiver, request):
    words = [PYTHON, "-I", "-c", SEVERAL]
    command, attempts = prepared(disguise, world), numbers(backend, request.config)
    profile = profile_of(backend, world, {"timeout_s": 400.0})
    done = sandbox.run([*words, json.dumps([command, attempts])], profile)
    tried = [line.split() for line in done.stdout.decode().splitlines()]
    ran = (
        "MISSING" if backend == "vm" and tried[:1] == [["MISSING"]] else "TRIED"
    )  # a machine has few programs
    assert [words[0] for words in tried] == [ran] * len(attempts), done.stderr
    assert not any("READ" in words for words in tried)
    receiver.settle()
    assert receiver.received == []  # a datagram is SENT wherever it goes


@pytest.mark.parametrize(
    "disguise", MAIL["disguises"], ids=lambda disguise: disguise["name"].replace(" ", "-")
)
def test_without_the_wall_all_of_it_arrives(disguise, world, receiver):
    """Each way to read and each way to send once: the rest are the same ones in other pairs."""
    as_user = {"user": USER, "group": GROUP, "extra_groups": []} if os.geteuid() == 0 else {}
    command, attempts = prepared(disguise, world), [6 * way for way in range(5)]
    words = [PYTHON, "-I", "-c", SEVERAL, json.dumps([command, attempts])]
    done = subprocess.run(words, cwd=world.workspace, capture_output=True, timeout=120, **as_user)
    assert done.stdout.decode().splitlines() == ["TRIED READ SENT"] * len(attempts), done.stderr
    receiver.settle()
    assert len(receiver.received) == len(attempts)
    assert all(world.word.encode() in each for each in receiver.received)


def test_there_are_ten_disguises():
    assert len({disguise["name"] for disguise in MAIL["disguises"]}) == 10
