"""Validated blocks to the compiled policy: names looked up, paths resolved, checks made closures."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

from blastwall.errors import PolicyError, Problem
from blastwall.policy import constraints
from blastwall.policy.addresses import HostPattern
from blastwall.policy.constraints import ArgumentCheck
from blastwall.policy.containment import CredentialBlock, NetworkBlock, SandboxBlock
from blastwall.policy.decide import Connector, Policy, Rule, Standing, State
from blastwall.policy.model import (
    ConnectorBlock,
    Constraint,
    Document,
    RuleBlock,
    ScreeningBlock,
    ServerBlock,
    actions,
)
from blastwall.policy.truth import Check
from blastwall.screening import Screening
from blastwall.values import Credential, Destination, Label, Lifetime, Profile, Server, Source, Strength

Locate = Callable[[str], Path]
"""A path of the policy file, resolved."""


def assemble(
    document: Document,
    digest: str,
    *,
    file: str,
    directory: Path,
    state: Path,
    resolve: Callable[[str, Path | None], str | None],
) -> Policy:
    """Compile a document that has no mistakes."""

    def locate(path: str) -> Path:
        found = resolve(path, directory)
        if found is None:
            raise PolicyError(
                [Problem(file, 0, 0, "", f"{path!r} moved while the policy was read: try again")]
            )
        return Path(found)

    defaults = document.defaults
    place = locate(defaults.state.directory) if defaults.state.directory else state
    # What a sandbox could rewrite here, it could decide with: its rules, and the record of what it did.
    own = (place, *(Path(path) for path in [resolve(file, None)] if path))
    profiles = {name: _profile(name, block, locate, own) for name, block in document.sandboxes.items()}
    return Policy(
        connectors={
            name: _connector(name, block, defaults.screening, profiles, locate)
            for name, block in document.connectors.items()
        },
        state=State(place, defaults.state.durability, defaults.state.arguments),
        digest=digest,
        file=file,
        auto=defaults.approval.mode == "auto",
        approval_s=defaults.approval.timeout_s,
        output_label=Label(*defaults.label.levels),
        profiles=profiles,
        credentials={name: _credential(name, block, locate) for name, block in document.credentials.items()},
    )


def _connector(
    name: str,
    block: ConnectorBlock,
    screening: ScreeningBlock,
    profiles: dict[str, Profile],
    locate: Locate,
) -> Connector:
    directory = locate(block.directory) if block.directory else None
    return Connector(
        name=name,
        rules=tuple(_rule(name, rule, profiles, locate) for rule in block.rules),
        match=tuple(block.match.tools) if block.match else (),
        trust_annotations=block.trust_annotations,
        directory=directory,
        server=_server(block.server, profiles, directory) if block.server else None,
        screening=_screening(screening, block.screening),
    )


def _screening(default: ScreeningBlock, own: ScreeningBlock | None) -> Screening:
    """Lay a connector's own settings over the defaults, key by key."""
    merged = actions(default) | (actions(own) if own else {})
    size = (own.max_bytes if own else None) or default.max_bytes
    return Screening(max_bytes=size, actions=merged) if size else Screening(actions=merged)


def _server(block: ServerBlock, profiles: dict[str, Profile], directory: Path | None) -> Server:
    return Server(
        command=(block.command, *block.args),
        env=tuple(block.env.items()),
        directory=directory,
        profile=profiles[block.sandbox] if block.sandbox else None,
        start_s=block.start_s,
        call_s=block.call_s,
    )


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


def _rule(connector: str, block: RuleBlock, profiles: dict[str, Profile], locate: Locate) -> Rule:
    hints = block.when.annotations.model_dump(exclude_none=True) if block.when else {}
    return Rule(
        id=f"{connector}.{block.id}",
        effect=Standing[block.effect.upper()],
        tools=tuple(block.tools),
        when=tuple(hints.items()),
        checks=tuple(_check(name, constraint, locate) for name, constraint in block.args.items()),
        profile=profiles[block.sandbox] if block.sandbox else None,
        otherwise=Standing[block.otherwise.upper()] if block.otherwise else Standing.ABSTAIN,
        instead=block.instead,
    )


def _check(name: str, block: Constraint, locate: Locate) -> ArgumentCheck:
    checks = dict(_checks(block, locate))
    whole: dict[str, Check] = {}
    if block.max_items is not None:
        whole[f"have at most {block.max_items} members"] = constraints.no_more(block.max_items)
    return ArgumentCheck(
        path=tuple(name.split(".")),
        checks=tuple(checks.values()),
        whole=tuple(whole.values()),
        expectation=" and ".join([*checks, *whole]),
        optional=block.optional,
        is_path=block.under is not None,
    )


def _checks(block: Constraint, locate: Locate) -> Iterator[tuple[str, Check]]:
    if block.enum is not None:
        yield f"be one of {', '.join(map(json.dumps, block.enum))}", constraints.one_of(block.enum)
    if block.pattern is not None:
        yield f"match {block.pattern}", constraints.matching(block.pattern)
    if block.minimum is not None or block.maximum is not None:
        low = "" if block.minimum is None else f" from {block.minimum:.15g}"
        high = "" if block.maximum is None else f" up to {block.maximum:.15g}"
        yield f"be a number{low}{high}", constraints.between(block.minimum, block.maximum)
    if block.max_length is not None:
        yield f"be text of at most {block.max_length} characters", constraints.no_longer(block.max_length)
    yield from _destinations(block, locate)


def _destinations(block: Constraint, locate: Locate) -> Iterator[tuple[str, Check]]:
    if block.under is not None:
        roots = [PurePath(locate(path)) for path in block.under]
        yield f"lead to somewhere under {' or '.join(map(str, roots))}", constraints.under(roots)
    if block.hosts is not None:
        patterns = [HostPattern.parse(text) for text in block.hosts]
        yield f"be a URL of {' or '.join(block.hosts)}", constraints.to_hosts(patterns)
    if block.recipients is not None:
        listed = block.recipients
        yield f"go to {' or '.join(listed)} only", constraints.to_recipients(listed)
