"""TLS for NBD, both sides: contexts from a folder of certificates.

The folder is laid out as that of other NBD programs: `ca-cert.pem`, `client-cert.pem`,
`client-key.pem`, `server-cert.pem`, `server-key.pem`.
"""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from membuf.base.errors import InvalidParameterError, MembufError, from_errno

if TYPE_CHECKING:
    from membuf.bus.nbd.uri import NbdUri

AUTHORITY: Final = "ca-cert.pem"
"""Who signed the certificates."""


@dataclass(frozen=True, slots=True)
class TlsServer:
    """How a server secures its connections.

    Attributes:
        certificates: the folder with `server-cert.pem` and `server-key.pem`.
        verify_clients: whether a client must show a certificate that `ca-cert.pem` there signed.
        require: whether clients without TLS are refused.

    >>> TlsServer("/etc/pki/nbd").require
    True
    """

    certificates: str
    verify_clients: bool = False
    require: bool = True


def server_context(settings: TlsServer) -> ssl.SSLContext:
    """What a server secures its connections with.

    Args:
        settings: where its certificate lies, and what clients must show.

    Raises:
        TargetNotFoundError: a file is missing; the error names it.
        InvalidParameterError: a file holds no certificate or key, or they do not fit each other.

    >>> server_context(TlsServer("/nowhere"))
    Traceback (most recent call last):
    membuf.TargetNotFoundError: [Errno 2] a TLS server needs server-cert.pem in the folder of its \
certificates: No such file or directory: '/nowhere/server-cert.pem'
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = Path(settings.certificates)
    _load_own(context, folder, "server")
    if settings.verify_clients:
        _load_authority(context, folder, "a server that verifies its clients")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(uri: NbdUri) -> ssl.SSLContext:
    """What a client secures its connections with.

    The server's certificate must be signed by `ca-cert.pem` of the folder, or where no folder is
    named by an authority that the system trusts. A certificate of the client's own is shown where
    the folder holds one.

    Args:
        uri: names the folder, and whether the server's certificate is checked.

    Raises:
        TargetNotFoundError: a file is missing; the error names it.
        InvalidParameterError: a file holds no certificate or key, or they do not fit each other.

    >>> from membuf.bus.nbd.uri import parse_uri
    >>> client_context(parse_uri("nbds://example.org")).check_hostname
    True
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not uri.tls_verify_peer or server_name(uri) is None:
        context.check_hostname = False
    if not uri.tls_verify_peer:
        context.verify_mode = ssl.CERT_NONE
    if uri.tls_certificates is None:
        context.load_default_certs()
        return context
    folder = Path(uri.tls_certificates)
    if uri.tls_verify_peer:
        _load_authority(context, folder, "a client that checks its server")
    if (folder / "client-cert.pem").exists() or (folder / "client-key.pem").exists():
        _load_own(context, folder, "client")
    return context


def server_name(uri: NbdUri) -> str | None:
    """What the server's certificate has to say; None where a unix socket says it already."""
    if uri.tls_hostname is not None:
        return uri.tls_hostname
    return uri.host if uri.socket is None else None


def _load_own(context: ssl.SSLContext, folder: Path, side: str) -> None:
    certificate, key = folder / f"{side}-cert.pem", folder / f"{side}-key.pem"
    for file in (certificate, key):
        _check_readable(file, f"a TLS {side}")
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        raise _unusable(f"{certificate} and {key}", "a certificate and its key", error) from error


def _load_authority(context: ssl.SSLContext, folder: Path, who: str) -> None:
    file = folder / AUTHORITY
    _check_readable(file, who)
    try:
        context.load_verify_locations(file)
    except (OSError, ValueError) as error:
        raise _unusable(str(file), "certificates of an authority", error) from error


def _check_readable(file: Path, who: str) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise from_errno(
            error.errno or errno.EIO,
            f"{who} needs {file.name} in the folder of its certificates",
            file,
        ) from error


def _unusable(what: str, expected: str, error: Exception) -> MembufError:
    return InvalidParameterError(f"expected {expected} in {what}: {error}")
