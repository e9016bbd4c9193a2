"""What several tests of the gateway stand on."""

import sys
from types import SimpleNamespace

import pytest


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """Give a keyring that is ours."""
    held: dict[tuple[str, str], str] = {}
    fake = SimpleNamespace(
        get_password=lambda service, user: held.get((service, user)),
        set_password=lambda service, user, text: held.__setitem__((service, user), text),
        delete_password=lambda service, user: held.pop((service, user)),
    )
    monkeypatch.setitem(sys.modules, "keyring", fake)
    return held
