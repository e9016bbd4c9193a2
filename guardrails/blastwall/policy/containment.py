"""The blocks of a policy file that say what a sandbox may touch, and which secrets stay outside of it."""

from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from blastwall.policy import urlpaths
from blastwall.policy.addresses import HostPattern
from blastwall.policy.blocks import Block, Count, Host, Maybe, Name, NonEmpty, Positive, Seconds


def _no_port(text: str) -> str:
    if HostPattern.parse(text).port is not None:
        raise ValueError(f"write the port under `ports`, not in {text!r}")
    return text


def _method(text: str) -> str:
    if not (text.isascii() and text.isalpha() and text.isupper()):
        raise ValueError(f"{text!r} is no HTTP method: write GET, POST and the like")
    return text


def _url_path(text: str) -> str:
    urlpaths.glob(text)
    return text


def _inside(text: str) -> str:
    if text.startswith("/") or ".." in PurePosixPath(text).parts:
        raise ValueError(f"{text!r} must be a path inside the workspace: no leading `/`, no `..`")
    return text


def _variable(text: str) -> str:
    if not text.isascii() or not text.isidentifier():
        raise ValueError(f"{text!r} is no name of a variable: letters, digits and `_`")
    return text


def _module(text: str) -> str:
    if not all(part.isidentifier() for part in text.split(".")):
        raise ValueError(f"{text!r} is no name of a Python module")
    return text


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None


def _pair(words: list[str]) -> list[str]:
    if len(words) != 2:
        raise ValueError("write the keyring's two words: [service, user]")
    return words


class NetworkBlock(Block):
    """One place that may be reached, through the gate."""

    host: Annotated[Host, AfterValidator(_no_port)]
    ports: Annotated[list[Annotated[int, Field(gt=0, le=65535)]], Field(min_length=1)] = [443]
    methods: list[Annotated[str, AfterValidator(_method)]] = []
    paths: list[Annotated[str, AfterValidator(_url_path)]] = []
    addresses: list[Annotated[str, AfterValidator(_address)]] = []
    upload_kb: Count = 1024
    download_kb: Count = 1024 * 1024


class CredentialBlock(Block):
    """A secret, and the only hosts that get it."""

    env: Maybe[Annotated[str, AfterValidator(_variable)]] = None
    file: Maybe[NonEmpty] = None
    keyring: Maybe[Annotated[list[NonEmpty], AfterValidator(_pair)]] = None
    command: Maybe[Annotated[list[NonEmpty], Field(min_length=1)]] = None
    hosts: Annotated[list[Host], Field(min_length=1)]
    variable: Maybe[Annotated[str, AfterValidator(_variable)]] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.env, self.file, self.keyring, self.command)) != 1:
            raise ValueError("say where it is kept, once: env, file, keyring or command")
        return self


class SandboxBlock(Block):
    """One profile. Where it names a shipped one, that is laid under its own keys."""

    profile: Maybe[str] = None
    strength: Literal["os", "container", "vm"] = "os"
    lifetime: Literal["call", "session"] = "call"
    workspace: Maybe[NonEmpty] = None
    copy_: bool = Field(False, alias="copy")
    directory: Annotated[NonEmpty, AfterValidator(_inside)] = "."
    read: list[NonEmpty] = []
    mask: list[NonEmpty] = []
    protect: list[Annotated[NonEmpty, AfterValidator(_inside)]] = []
    network: list[NetworkBlock] = []
    credentials: list[Name] = []
    env: dict[str, str] = {}
    warm: Annotated[int, Field(ge=0, le=64)] = 0
    preload: list[Annotated[str, AfterValidator(_module)]] = []
    timeout_s: Seconds = 300.0
    cpu_s: Maybe[Seconds] = None
    memory_mb: Positive = 1024
    processes: Positive = 256
    open_files: Positive = 256
    file_mb: Positive = 256
    disk_mb: Positive = 1024
    scratch_mb: Positive = 256
    output_kb: Positive = 1024

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.strength == "os" and self.lifetime == "session":
            raise ValueError(
                "an `os` sandbox is made for each call: `lifetime: session` needs container or vm"
            )
        if self.copy_ and self.workspace is None:
            raise ValueError("there is no workspace to copy: name one, or take `copy` out")
        return self
