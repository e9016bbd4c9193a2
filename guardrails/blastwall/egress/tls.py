"""The session's own certificate authority, trusted only inside, and the contexts of TLS on both sides."""

import datetime
import functools
import ipaddress
import os
import ssl
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from blastwall.egress import spelling
from blastwall.policy.addresses import HostPattern

_LIFE = datetime.timedelta(days=7)
_SLACK = datetime.timedelta(days=1)
"""Clocks inside may be a little behind."""


class Authority:
    """Makes certificates for inspected hosts. Its key is in this process only, and dies with it."""

    def __init__(self, hosts: Iterable[HostPattern]) -> None:
        """Make the key, good for these hosts and for no other."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "blastwall, this session only")])
        self._certificate = (
            _begun(name, name, self._key.public_key(), self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(_constraints(hosts), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self._certificate.public_bytes(Encoding.PEM)
        self.context = functools.lru_cache(maxsize=256)(self._context)

    def _context(self, host: str) -> ssl.SSLContext:
        """Give what answers for one canonical host."""
        names = x509.SubjectAlternativeName([_general(host)])
        leaf = (
            _begun(
                x509.Name([]), self._certificate.subject, self._leaf_key.public_key(), self._key.public_key()
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(names, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        key = self._leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        _load(context, key + leaf.public_bytes(Encoding.PEM) + self.pem)
        return context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a chain that is in memory; OpenSSL's interface here takes files only."""
    with os.fdopen(os.memfd_create("chain", os.MFD_CLOEXEC), "wb") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _constraints(hosts: Iterable[HostPattern]) -> x509.NameConstraints:
    names: set[x509.GeneralName] = set()
    for host in hosts:
        if spelling.is_address(host.host):
            names.add(x509.IPAddress(ipaddress.ip_network(host.host)))
        else:
            names.add(x509.DNSName(host.host))
    closed: list[x509.GeneralName] = []
    if not any(isinstance(name, x509.IPAddress) for name in names):
        closed = [x509.IPAddress(ipaddress.ip_network(every)) for every in ("0.0.0.0/0", "::/0")]
    if not any(isinstance(name, x509.DNSName) for name in names):
        closed.append(x509.DNSName(""))
    return x509.NameConstraints(sorted(names, key=repr) or None, closed or None)


def _general(host: str) -> x509.GeneralName:
    if spelling.is_address(host):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def upstream(roots: str) -> ssl.SSLContext:
    """Give what checks the certificates of upstream hosts, against these roots."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if roots:
        context.load_verify_locations(cadata=roots)
    return context
