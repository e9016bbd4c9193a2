"""From blocks to the compiled policy: every key of the file arrives somewhere."""

import hashlib
from pathlib import Path

import pytest
from tests.core.policies import PROJECT, policy

from blastwall.errors import PolicyError
from blastwall.paths import resolve
from blastwall.policy import Standing, State, parse
from blastwall.provenance.formats import FORMATS
from blastwall.provenance.labels import FieldRule
from blastwall.screening import Screening
from blastwall.values import (
    Action,
    Confidentiality,
    Credential,
    Destination,
    Integrity,
    Label,
    Lifetime,
    Profile,
    Server,
    Source,
    Strength,
    ToolCall,
)

WHOLE = """
version: 1
defaults:
  state: {directory: ./state, durability: power-loss, arguments: digest}
  approval: {mode: auto, timeout_s: 30}
  screening: {max_bytes: 1000, actions: {override: mark, ansi: pass}}
  label: {integrity: internal, confidentiality: secret}
connectors:
  files:
    trust_annotations: true
    match: {tools: ["read_*", list]}
    directory: data
    server:
      command: npx
      args: [-y, "@x/server", .]
      env: {A: b, C: ""}
      sandbox: scratch
      start_s: 3
      call_s: 4.5
    screening: {actions: {override: quarantine}}
    rules:
      - {id: read, effect: allow, tools: ["read_*", list], when: {annotations: {readOnlyHint: true}}}
      - {id: no, effect: deny, tools: [rm], instead: "ask me"}
      - {id: write, effect: ask, tools: [write], args: {a.b: {under: [.], optional: true}}, otherwise: deny,
         sandbox: scratch}
  mail:
    screening: {max_bytes: 5}
credentials:
  github: {env: GITHUB_TOKEN, hosts: [api.github.com, "*.github.com"], variable: GH_TOKEN}
  file: {file: ./token, hosts: [example.com]}
  ring: {keyring: [service, user], hosts: [example.com]}
  pass: {command: [pass, show, it], hosts: [example.com]}
sandboxes:
  scratch:
    strength: vm
    lifetime: session
    workspace: ./work
    copy: true
    directory: src
    read: [/opt/data, lib]
    mask: [/opt/data/secret]
    protect: [ci, deploy.sh]
    network:
      - {host: "*.example.com", ports: [80, 443], methods: [GET], paths: ["/a/*"], upload_kb: 7, download_kb: 8}
      - {host: example.org, addresses: [10.1.2.3, "FD00::1"]}
    credentials: [github, ring]
    env: {LANG: C}
    warm: 2
    preload: [json, a.b]
    cpu_s: 9
    disk_mb: 10
    timeout_s: 60
    memory_mb: 1
    processes: 2
    open_files: 3
    file_mb: 4
    scratch_mb: 5
    output_kb: 6
"""

OWN = Path(resolve("policy.yaml", None) or "")
"""The policy file itself, which no sandbox of its may see."""

SCRATCH = Profile(
    "scratch",
    strength=Strength.VM,
    lifetime=Lifetime.SESSION,
    workspace=PROJECT / "work",
    copy=True,
    directory="src",
    read=(Path("/opt/data"), PROJECT / "lib"),
    mask=(Path("/opt/data/secret"), *sorted((PROJECT / "state", OWN))),
    protect=("ci", "deploy.sh"),
    network=(
        Destination(
            "*.example.com",
            ports=(80, 443),
            methods=("GET",),
            paths=("/a/*",),
            upload_kb=7,
            download_kb=8,
        ),
        Destination("example.org", addresses=("10.1.2.3", "fd00::1")),
    ),
    credentials=("github", "ring"),
    env=(("LANG", "C"),),
    warm=2,
    preload=("json", "a.b"),
    cpu_s=9,
    disk_mb=10,
    timeout_s=60,
    memory_mb=1,
    processes=2,
    open_files=3,
    file_mb=4,
    scratch_mb=5,
    output_kb=6,
)


def test_every_key_of_the_file_arrives():
    loaded = policy(WHOLE)
    files = loaded.connectors["files"]
    assert loaded.state == State(PROJECT / "state", "power-loss", "digest")
    assert (loaded.auto, loaded.approval_s) == (True, 30)
    assert files.unlabelled.default == Label(Integrity.INTERNAL, Confidentiality.SECRET)
    assert loaded.profiles == {"scratch": SCRATCH}
    assert list(loaded.credentials.values()) == [
        Credential("github", Source.ENV, ("GITHUB_TOKEN",), ("api.github.com", "*.github.com"), "GH_TOKEN"),
        Credential("file", Source.FILE, (str(PROJECT / "token"),), ("example.com",)),
        Credential("ring", Source.KEYRING, ("service", "user"), ("example.com",)),
        Credential("pass", Source.COMMAND, ("pass", "show", "it"), ("example.com",)),
    ]
    assert (loaded.file, loaded.digest) == ("policy.yaml", hashlib.sha256(WHOLE.encode()).hexdigest())
    assert (files.name, files.match, files.trust_annotations) == ("files", ("read_*", "list"), True)
    assert files.directory == PROJECT / "data"
    assert files.server == Server(
        ("npx", "-y", "@x/server", "."), (("A", "b"), ("C", "")), PROJECT / "data", SCRATCH, 3, 4.5
    )


def test_every_key_of_a_rule_arrives():
    read, no, write = policy(WHOLE).connectors["files"].rules
    assert (read.id, read.effect, read.tools) == ("files.read", Standing.ALLOW, ("read_*", "list"))
    assert (read.when, read.checks, read.profile) == ((("read_only", True),), (), None)
    assert (read.otherwise, read.instead) == (Standing.ABSTAIN, "")
    assert (no.effect, no.instead) == (Standing.DENY, "ask me")
    assert (write.effect, write.otherwise, write.profile) == (Standing.ASK, Standing.DENY, SCRATCH)
    (check,) = write.checks
    assert (check.path, check.optional, check.is_path) == (("a", "b"), True, True)


def test_a_field_s_label_arrives():
    fields = {
        "id": {"format": "email"},
        "code": {"pattern": "[A-Z]{2}[0-9]+"},
        "note": {"integrity": "external", "confidentiality": "secret"},
        "sum": {"confidentiality": "public"},
    }
    labels = policy(
        {
            "version": 1,
            "connectors": {"files": {"outputs": {"get": {"integrity": "internal", "fields": fields}}}},
        }
    ).labels(ToolCall.of("files", "get", {}))
    found = {rule.pattern: rule for rule in labels.fields}
    assert labels.default.integrity is Integrity.INTERNAL
    assert found["note"] == FieldRule("note", Integrity.EXTERNAL, Confidentiality.SECRET)
    assert found["sum"] == FieldRule("sum", None, Confidentiality.PUBLIC)
    assert found["id"] == FieldRule("id", Integrity.TYPED, None, FORMATS["email"])
    code = found["code"]
    assert (code.integrity, code.confidentiality) == (Integrity.TYPED, None)
    assert code.format is not None
    values = ["AB1", "AB1 and more", "see AB1", 1, None, ["AB1"]]
    assert [value for value in values if code.format(value)] == ["AB1"]


def test_who_may_steer_arrives():
    flow = {
        "control": {"to.address": ["prompt", "people"], "*": ["prompt", "typed"]},
        "content": {"args": ["body"], "max_confidentiality": "public"},
    }
    (rule,) = (
        policy(
            {
                "version": 1,
                "trusted_records": {"people": ["ann@example.com"]},
                "connectors": {
                    "mail": {"rules": [{"id": "r", "effect": "allow", "tools": ["send"], "flow": flow}]}
                },
            }
        )
        .connectors["mail"]
        .rules
    )
    address, other = rule.flow.controls
    assert (address.path, address.sources, address.but) == (("to", "address"), {"prompt"}, ())
    assert [records.name for records in address.records] == ["people"]
    assert (other.path, other.sources, other.records) == (("*",), {"prompt", "typed"}, ())
    assert set(other.but) == {("to", "address"), ("body",)}


def test_a_first_use_pin_is_no_fingerprint():
    files = policy({"version": 1, "connectors": {"files": {"pin": "first-use"}}}).connectors["files"]
    assert (dict(files.pins), files.first_use) == ({}, True)
    pinned = policy({"version": 1, "connectors": {"files": {"pin": {"read": "a" * 64}}}}).connectors["files"]
    assert (dict(pinned.pins), pinned.first_use) == ({"read": "a" * 64}, False)


@pytest.mark.parametrize(
    ("own", "hosts", "credentials"),
    [
        ({}, (), ()),
        ({"egress": [{"host": "a.example"}]}, ("a.example",), ()),
        ({"credentials": ["pass"]}, (), ("pass",)),
    ],
)
def test_a_connector_s_places_and_credentials_are_added_to_its_sandboxes(own, hosts, credentials):
    run = {"id": "r", "effect": "allow", "tools": ["*"], "sandbox": "s"}
    (rule,) = (
        policy(
            {
                "version": 1,
                "connectors": {"files": {"rules": [run], **own}},
                "sandboxes": {"s": {}},
                "credentials": {"pass": {"env": "PASS", "hosts": ["a.example"]}},
            }
        )
        .connectors["files"]
        .rules
    )
    assert tuple(place.host for place in rule.profile.network) == hosts
    assert rule.profile.credentials == credentials


def test_a_path_that_moved_meanwhile_is_told():
    found = iter(["/somewhere/here"])
    with pytest.raises(PolicyError) as caught:
        parse(
            b"version: 1\ndefaults: {state: {directory: here}}\nconnectors: {files: {}}\n",
            file="policy.yaml",
            directory=PROJECT,
            state=Path("/state"),
            resolve=lambda path, folder: next(found, None),
        )
    assert str(caught.value) == "policy.yaml: 'here' moved while the policy was read: try again"


def test_a_policy_that_is_no_file_masks_its_state_and_what_is_beside_it():
    beside = tuple(Path("/etc") / name for name in "fbdac")
    loaded = parse(
        b"version: 1\nconnectors: {files: {}}\nsandboxes: {s: {}}\n",
        file="<text>",
        directory=PROJECT,
        state=Path("/state"),
        resolve=lambda path, folder: None,
        beside=beside,
    )
    assert loaded.profiles["s"].mask == (*sorted(beside), Path("/state"))


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({"minimum": 1}, "be a number from 1"),
        ({"maximum": 5}, "be a number up to 5"),
        ({"minimum": 1, "maximum": 5}, "be a number from 1 up to 5"),
    ],
)
def test_bounds_are_told_as_they_are(bounds, told):
    rule = {"id": "r", "effect": "allow", "tools": ["*"], "args": {"n": bounds}}
    loaded = policy({"version": 1, "connectors": {"files": {"rules": [rule]}}})
    (check,) = loaded.connectors["files"].rules[0].checks
    assert check.expectation == told


def test_a_connector_s_screening_is_laid_over_the_defaults():
    loaded = policy(WHOLE)
    both = {"override": Action.QUARANTINE, "ansi": Action.PASS}
    assert loaded.connectors["files"].screening == Screening(1000, both)
    default = {"override": Action.MARK, "ansi": Action.PASS}
    assert loaded.connectors["mail"].screening == Screening(5, default)


def test_what_is_left_out_has_its_documented_default():
    loaded = policy("version: 1\nconnectors: {files: {server: {command: c}}}\nsandboxes: {s: {}}\n")
    files = loaded.connectors["files"]
    assert loaded.state == State(Path("/state"), "process-crash", "full")
    assert (loaded.auto, loaded.approval_s, loaded.permissive) == (False, 120.0, False)
    own = tuple(sorted((Path("/state"), OWN)))
    assert loaded.profiles == {"s": Profile("s", mask=own)}
    assert (files.rules, files.match, files.trust_annotations, files.directory) == ((), (), False, None)
    assert files.server == Server(("c",), profile=Profile("(default)", mask=own), program_readable=True)
    assert files.screening == Screening()
