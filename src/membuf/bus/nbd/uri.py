"""NBD URIs: how the NBD project names an export of a server.

    nbd://HOST:PORT/EXPORT          TCP; port 10809 if absent
    nbd+unix:///EXPORT?socket=PATH  a unix socket
    nbds://, nbds+unix://           the same, with TLS

In the query, for TLS: `tls-certificates=FOLDER`, `tls-hostname=NAME`, `tls-verify-peer=false`.

Source: the NBD project's doc/uri.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from membuf.base.errors import InvalidParameterError

DEFAULT_PORT: Final = 10809
SCHEMES: Final = ("nbd", "nbds", "nbd+unix", "nbds+unix")
_KEYS: Final = ("socket", "tls-certificates", "tls-hostname", "tls-verify-peer")
_LAST_CONTROL: Final = 0x20
_DELETE: Final = "\x7f"
_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class NbdUri:
    """An export of a server.

    Attributes:
        export: its name, "" for the default one.
        socket: the path of a unix socket, or None for TCP.
        host, port: of TCP.
        tls: whether TLS is used.
        tls_certificates: the folder with `ca-cert.pem` and one's own certificate and key.
        tls_hostname: what the server's certificate is to say, if not the host.
        tls_verify_peer: whether the server's certificate is checked.

    >>> str(NbdUri(socket="/run/disk.sock", export="a b"))
    'nbd+unix:///a%20b?socket=/run/disk.sock'
    """

    export: str = ""
    socket: str | None = None
    host: str = "localhost"
    port: int = DEFAULT_PORT
    tls: bool = False
    tls_certificates: str | None = None
    tls_hostname: str | None = None
    tls_verify_peer: bool = True

    @property
    def place(self) -> str:
        """Where the server listens, in words."""
        if self.socket is not None:
            return self.socket
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        scheme = "nbds" if self.tls else "nbd"
        query: dict[str, str] = {}
        if self.socket is not None:
            scheme += "+unix"
            query["socket"] = self.socket
        if self.tls_certificates is not None:
            query["tls-certificates"] = self.tls_certificates
        if self.tls_hostname is not None:
            query["tls-hostname"] = self.tls_hostname
        if not self.tls_verify_peer:
            query["tls-verify-peer"] = "false"
        place = "" if self.socket is not None else self._authority
        path = "/" + quote(self.export, safe="/") if self.export or self.socket is not None else ""
        tail = "?" + urlencode(query, safe="/:", quote_via=quote) if query else ""
        return f"{scheme}://{place}{path}{tail}"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"


def parse_uri(text: str) -> NbdUri:
    """Take an NBD URI apart.

    Raises:
        InvalidParameterError: it is none; the message says what is expected.

    >>> parse_uri("nbd+unix:///disk?socket=/tmp/s").socket
    '/tmp/s'
    >>> uri = parse_uri("nbds://example.org/")
    >>> uri.host, uri.port, uri.export, uri.tls
    ('example.org', 10809, '', True)
    """
    if any(ord(letter) <= _LAST_CONTROL or letter == _DELETE for letter in text):
        raise _refused(text, "it has no spaces and no control characters: write %20 for a space")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _refused(text, str(error)) from error
    if parts.scheme not in SCHEMES or not text[len(parts.scheme) :].startswith("://"):
        raise _refused(text, f"the scheme is one of {', '.join(SCHEMES)}")
    if parts.fragment or parts.username is not None:
        raise _refused(text, "it has neither a user nor a fragment")
    query = _query(parts.query, text)
    unix = parts.scheme.endswith("+unix")
    socket = query.get("socket")
    if unix and (parts.netloc or not socket):
        raise _refused(text, "a unix socket is named ?socket=PATH, with no host before the export")
    if not unix and socket is not None:
        raise _refused(text, f"a socket's path goes with {parts.scheme}+unix")
    if port == 0:
        raise _refused(text, "a port is 1 to 65535")
    tls = parts.scheme.startswith("nbds")
    if not tls and (len(query) > 1 or (query and not unix)):
        raise _refused(text, "TLS options go with nbds")
    return NbdUri(
        # One slash parts the export from what is before it; the rest is the name as it is.
        export=_unquoted(parts.path[1:], text),
        socket=socket,
        host=parts.hostname or "localhost",
        port=port or DEFAULT_PORT,
        tls=tls,
        tls_certificates=query.get("tls-certificates"),
        tls_hostname=query.get("tls-hostname"),
        tls_verify_peer=_truth(query.get("tls-verify-peer", "true"), text),
    )


def _query(text: str, uri: str) -> dict[str, str]:
    query: dict[str, str] = {}
    for pair in text.split("&") if text else ():
        # Not as in a form: a plus stands for itself.
        name, equals, value = (_unquoted(part, uri) for part in pair.partition("="))
        if not equals:
            raise _refused(uri, f"its query is NAME=VALUE&..., not {pair!r}")
        if name not in _KEYS:
            raise _refused(uri, f"{name!r} is not known; there are {', '.join(_KEYS)}")
        if name in query:
            raise _refused(uri, f"{name} is named twice")
        query[name] = value
    return query


def _unquoted(text: str, uri: str) -> str:
    """A part with what stands for its bytes; names are UTF-8, and have no NUL."""
    try:
        found = unquote(text, errors="strict")
        found.encode()
    except UnicodeError as error:
        raise _refused(uri, f"{text!r} is no UTF-8") from error
    if "\0" in found:
        raise _refused(uri, f"{text!r} has a NUL character")
    return found


def _truth(text: str, uri: str) -> bool:
    if text not in _TRUTH:
        raise _refused(uri, f"tls-verify-peer is true or false, not {text!r}")
    return _TRUTH[text]


def _refused(text: str, why: str) -> InvalidParameterError:
    return InvalidParameterError(
        "an NBD URI is written nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH "
        f"(nbds for TLS); got {text!r}: {why}"
    )
