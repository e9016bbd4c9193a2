"""Validated blocks to the compiled policy: names looked up, paths resolved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from blastwall.errors import PolicyError, Problem
from blastwall.policy.assemble_rules import Locate, compiled, labels
from blastwall.policy.assemble_servers import DEFAULT, front, server
from blastwall.policy.connector import Connector
from blastwall.policy.containment import CredentialBlock, NetworkBlock, SandboxBlock
from blastwall.policy.decide import Policy, State
from blastwall.policy.model import ConnectorBlock, Document, ScreeningBlock, actions
from blastwall.policy.records import Records
from blastwall.policy.scopes import FIRST_USE, SessionBlock
from blastwall.policy.standing import Standing
from blastwall.policy.together import Together
from blastwall.provenance import Labels
from blastwall.screening import Screening
from blastwall.values import (
    Credential,
    Destination,
    Does,
    Label,
    Lifetime,
    Profile,
    Source,
    Strength,
)


def assemble(
    document: Document,
    digest: str,
    *,
    file: str,
    directory: Path,
    state: Path,
    resolve: Callable[[str, Path | None], str | None],
    beside: tuple[Path, ...] = (),
) -> Policy:
    """Compile a document that has no mistakes. `beside` are the other files of the same policy."""

    def locate(path: str) -> Path:
        found = resolve(path, directory)
        if found is None:
            raise PolicyError(
                [Problem(file, 0, 0, "", f"{path!r} moved while the policy was read: try again")]
            )
        return Path(found)

    defaults = document.defaults
    place = locate(defaults.state.directory) if defaults.state.directory else state
    # What a sandbox or a tool could rewrite here, it could decide with: the rules, and the record.
    own = tuple(sorted({place, *beside, *(Path(path) for path in [resolve(file, None)] if path)}))
    profiles = {name: _profile(name, block, locate, own) for name, block in document.sandboxes.items()}
    parts = _Parts(
        profiles,
        {name: Records.of(name, entries) for name, entries in document.trusted_records.items()},
        defaults.screening,
        Label(*defaults.label.levels),
        locate,
        Profile(DEFAULT, mask=own),
    )
    return Policy(
        connectors={name: _connector(name, block, parts) for name, block in document.connectors.items()},
        state=State(place, defaults.state.durability, defaults.state.arguments),
        digest=digest,
        file=file,
        auto=defaults.approval.mode == "auto",
        approval_s=defaults.approval.timeout_s,
        permissive=defaults.enforcement == "permissive",
        unknown_tool=Standing[defaults.unknown_tool.upper()],
        together=_together(document.session),
        profiles=profiles,
        own=tuple(f"{path}/" for path in own),
        credentials={name: _credential(name, block, locate) for name, block in document.credentials.items()},
        front=front(document.proxy),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the connectors of a document share."""

    profiles: Mapping[str, Profile]
    records: Mapping[str, Records]
    screening: ScreeningBlock
    label: Label
    locate: Locate
    default: Profile


def _together(block: SessionBlock) -> Together:
    return Together(
        rule_of_two=_standing(block.rule_of_two),
        intent=_standing(block.intent),
        calls=block.budget.calls,
        writes=block.budget.writes,
        destructive=block.budget.destructive,
        asks=block.budget.asks,
    )


def _standing(said: str | None) -> Standing:
    return Standing[said.upper()] if said else Standing.ABSTAIN


def _connector(name: str, block: ConnectorBlock, parts: _Parts) -> Connector:
    directory = parts.locate(block.directory) if block.directory else None
    profiles = {key: _scoped(profile, block) for key, profile in parts.profiles.items()}
    default = _scoped(replace(parts.default, workspace=directory), block)
    return Connector(
        name=name,
        rules=tuple(compiled(name, rule, profiles, parts.records, parts.locate) for rule in block.rules),
        match=tuple(block.match.tools) if block.match else (),
        trust_annotations=block.trust_annotations,
        directory=directory,
        server=server(block.server, profiles, default, directory) if block.server else None,
        screening=_screening(parts.screening, block.screening),
        effect_of=tuple((_globs(globs), frozenset(map(Does, does))) for globs, does in block.effects.items()),
        outputs=tuple((_globs(globs), labels(own, parts.label)) for globs, own in block.outputs.items()),
        unlabelled=Labels(parts.label),
        pins={} if FIRST_USE in block.pin else block.pin,
        first_use=FIRST_USE in block.pin,
    )


def _globs(written: str) -> tuple[str, ...]:
    return tuple(written.split("|"))


def _scoped(profile: Profile, block: ConnectorBlock) -> Profile:
    """Give a connector's own version of a profile: with the places and credentials that it alone may use."""
    if not (block.egress or block.credentials):
        return profile
    return replace(
        profile,
        network=(*profile.network, *map(_destination, block.egress)),
        credentials=tuple(dict.fromkeys((*profile.credentials, *block.credentials))),
    )


def _screening(default: ScreeningBlock, own: ScreeningBlock | None) -> Screening:
    """Lay a connector's own settings over the defaults, key by key."""
    merged = actions(default) | (actions(own) if own else {})
    size = (own.max_bytes if own else None) or default.max_bytes
    return Screening(max_bytes=size, actions=merged) if size else Screening(actions=merged)


def _profile(name: str, block: SandboxBlock, locate: Locate, own: tuple[Path, ...]) -> Profile:
    same = block.model_dump(
        include={"directory", "warm", "timeout_s", "cpu_s", "memory_mb", "processes", "open_files", "file_mb"}
        | {"disk_mb", "scratch_mb", "output_kb"}
    )
    return Profile(
        name,
        strength=Strength(block.strength),
        lifetime=Lifetime(block.lifetime),
        workspace=locate(block.workspace) if block.workspace else None,
        copy=block.copy_,
        read=tuple(map(locate, block.read)),
        mask=(*map(locate, block.mask), *own),
        protect=tuple(block.protect),
        network=tuple(map(_destination, block.network)),
        credentials=tuple(block.credentials),
        env=tuple(block.env.items()),
        preload=tuple(block.preload),
        **same,
    )


def _destination(block: NetworkBlock) -> Destination:
    return Destination(
        block.host,
        ports=tuple(block.ports),
        methods=tuple(block.methods),
        paths=tuple(block.paths),
        addresses=tuple(block.addresses),
        upload_kb=block.upload_kb,
        download_kb=block.download_kb,
    )


def _credential(name: str, block: CredentialBlock, locate: Locate) -> Credential:
    source, locator = _kept(block, locate)
    return Credential(name, source, locator, tuple(block.hosts), block.variable or "")


def _kept(block: CredentialBlock, locate: Locate) -> tuple[Source, tuple[str, ...]]:
    if block.env is not None:
        return Source.ENV, (block.env,)
    if block.file is not None:
        return Source.FILE, (str(locate(block.file)),)
    if block.keyring is not None:
        return Source.KEYRING, tuple(block.keyring)
    return Source.COMMAND, tuple(block.command or ())
