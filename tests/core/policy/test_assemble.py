"""From blocks to the compiled policy: every key of the file arrives somewhere."""

import hashlib
from pathlib import Path

from tests.core.policies import PROJECT, policy

from blastwall.paths import resolve
from blastwall.policy import Standing, State
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
