"""Secrets in plain text: the kind and the place, and never the secret."""

from dataclasses import replace

import pytest

from blastwall.clients.secrets import secrets
from blastwall.clients.servers import Configured

NONE = Configured("cursor", "f", 1, "s", ("mcpServers",))


def of_env(name, value):
    return list(secrets(replace(NONE, env=((name, value),))))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("ghp_" + "a1" * 18, "a GitHub token"),
        ("github_pat_" + "a1_" * 12, "a GitHub token"),
        ("glpat-" + "a1" * 10, "a GitLab token"),
        ("AKIA" + "A1" * 8, "an AWS access key"),
        ("AIza" + "a" * 35, "a Google API key"),
        ("xoxb-" + "1" * 12, "a Slack token"),
        ("sk-ant-" + "a1" * 12, "an Anthropic key"),
        ("sk-proj-" + "a1" * 12, "an API key"),
        ("sk_live_" + "a1" * 8, "a Stripe key"),
        ("npm_" + "a1" * 18, "an npm token"),
        ("pypi-" + "a1" * 20, "a PyPI token"),
        ("hf_" + "a1" * 16, "a Hugging Face token"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "a JSON web token"),
        ("-----BEGIN RSA PRIVATE KEY-----\nM", "a private key"),
        ("postgresql://u:hunter22@db/app", "a password in an address"),
        ("https://x.example/?api_key=abcdef12", "a secret in an address"),
        ("https://x.example/mcp/abcdef0123456789abcdef01/sse", "a long random piece of an address"),
    ],
)
def test_a_secret_is_known_by_its_form(value, kind):
    assert of_env("ANYTHING", value) == [(kind, "env.ANYTHING")]
    assert list(secrets(replace(NONE, command=("x", value)))) == [(kind, "args[0]")]


@pytest.mark.parametrize(
    "name", ["API_KEY", "TOKEN", "GITHUB_TOKEN", "password", "DB_PASSWD", "CLIENT_SECRET", "KEY"]
)
def test_a_secret_is_known_by_its_name(name):
    assert of_env(name, "abcdef123") == [("a value that its name calls secret", f"env.{name}")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "${API_KEY}"),
        ("API_KEY", "$API_KEY"),
        ("API_KEY", "${input:key}"),
        ("API_KEY", "<your key>"),
        ("API_KEY", "YOUR_API_KEY"),
        ("API_KEY", "xxxxxxxx"),
        ("API_KEY", ""),
        ("API_KEY", "changeme"),
        ("API_KEY", "op://vault/item/key"),
        ("MAX_TOKENS", "200000"),
        ("KEY_FILE", "/home/u/.keys/a.pem"),
        ("TOKEN_URL", "https://auth.example/token"),
        ("SECRET_NAME", "projects/x/secrets/y"),
        ("DEBUG", "mcp-server-anything"),
        ("URL", "postgresql://u@db/app"),
        ("URL", "postgresql://u:${PASSWORD}@db/app"),
        ("URL", "https://["),
    ],
)
def test_no_secret(name, value):
    assert of_env(name, value) == []


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("--api-key", "abcdef123"), "args[1]"),
        (("--api-key=abcdef123",), "args[0]"),
        (("-token=abcdef123",), "args[0]"),
        (("--header", "Authorization: Bearer abcdef123"), "args[1]"),
        (("API_KEY=abcdef123",), "args[0]"),
    ],
)
def test_a_flag_announces_a_secret(words, place):
    ((_, found),) = secrets(replace(NONE, command=("x", *words)))
    assert found == place


@pytest.mark.parametrize(
    "words",
    [
        ("--api-key",),
        ("--api-key", "--verbose"),
        ("--api-key", "$KEY"),
        ("--token-file", "/a/bcdefg"),
        ("--x=y",),
        ("a", "b"),
    ],
)
def test_a_flag_without_a_secret(words):
    assert list(secrets(replace(NONE, command=("x", *words)))) == []


def test_headers_and_addresses():
    server = replace(
        NONE,
        url="https://u:hunter22@x.example/",
        headers=(("Authorization", "Bearer abcdef123"), ("X-Y", "z")),
    )
    assert [place for _, place in secrets(server)] == ["headers.Authorization", "url"]


def test_long_texts_take_linear_time():
    for text in ("eyJ" * 100_000, "-eyJ" * 100_000, "sk-" * 100_000, "<" * 300_000, "${" * 150_000):
        list(secrets(replace(NONE, env=(("API_KEY", text),), command=("x", f"--key={text}"))))
