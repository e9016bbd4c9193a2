"""A gate in this process, and sites on loopback behind it."""

import contextlib
import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.core.egress.sites import Authority, gate, running


@pytest.fixture
def site():
    with running() as site:
        yield site


@pytest.fixture
def other_site():
    with running() as site:
        yield site


@pytest.fixture(scope="session")
def authority():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)

    def begun(subject, public):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    root = (
        begun(name, key.public_key())
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )

    def general(host):
        try:
            return x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            return x509.DNSName(host)

    def sign(hosts):
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        leaf = begun(x509.Name([]), leaf_key.public_key())
        leaf = leaf.add_extension(x509.SubjectAlternativeName([general(h) for h in hosts]), True)
        private = leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private + leaf.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    return Authority(root.public_bytes(serialization.Encoding.PEM), sign)


@pytest.fixture
def secure_site(authority):
    with running(authority.context("api.test", "other.test", "127.0.0.1")) as site:
        yield site


@pytest.fixture
def inside(authority):
    """Makes gates that run in this process, on a loop of their own."""
    with contextlib.ExitStack() as stack:

        def make(*destinations, held=(), resolver=None, limits=None):
            return stack.enter_context(gate(destinations, held, resolver, limits, authority.pem.decode()))

        yield make
