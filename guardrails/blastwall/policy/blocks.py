"""What the blocks of a policy file have in common: strict, frozen, nothing unknown, nothing left empty."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from blastwall.policy.addresses import HostPattern


class Block(BaseModel):
    """One block of `key: value` lines."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


T = TypeVar("T")


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError(NO_VALUE)
    return value


NO_VALUE = "there is no value here: write one, or take it out"

Maybe = Annotated[T | None, BeforeValidator(_given)]
"""A key that may be left out. `under:` with nothing behind it is a mistake: it would demand nothing."""


def _host(text: str) -> str:
    HostPattern.parse(text)
    return text


NonEmpty = Annotated[str, Field(min_length=1)]
Host = Annotated[str, AfterValidator(_host)]
NAME = r"^[A-Za-z0-9](?:_?[A-Za-z0-9.-])*$"
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=32)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
