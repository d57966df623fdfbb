"""Certificates for NBD over TLS, made as they are needed, in the folder that NBD programs share."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def make_certificates(folder: Path, *, client: bool = True) -> Path:
    """A folder with an authority, a server's certificate for localhost, and maybe a client's."""
    folder.mkdir()
    authority = _make(folder / "ca-cert.pem", None, "an authority", None)
    _make(folder / "server-cert.pem", folder / "server-key.pem", "localhost", authority)
    if client:
        _make(folder / "client-cert.pem", folder / "client-key.pem", "a client", authority)
    return folder


def _make(certificate: Path, key: Path | None, name: str, signer: Signer | None) -> Signer:
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer[0].subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(_usage(signer is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
    )
    issuer = own if signer is None else signer[1]
    identity = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = builder.add_extension(identity, critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    made = builder.sign(issuer, hashes.SHA256())
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    if key is not None:
        key.write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return made, own


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
