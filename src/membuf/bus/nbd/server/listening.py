"""Where a server listens: unix sockets with their files, and TCP."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

from membuf.base.errors import from_errno
from membuf.bus.nbd.uri import NbdUri

_BACKLOG: Final = 1024
PERMISSIONS: Final = 0o600


class Listener:
    """The sockets that a server listens on.

    Args:
        uri: where; port 0 takes a free one.
        permissions: of the file of a unix socket.

    Attributes:
        sockets: listening, non-blocking.
        uri: where, with the real port.

    Raises:
        TargetError: the system does not allow it, or somebody listens there.
    """

    def __init__(self, uri: NbdUri, permissions: int = PERMISSIONS) -> None:
        self.uri = uri
        self._file: tuple[str, os.stat_result] | None = None
        try:
            if uri.socket is not None:
                self.sockets = [self._listen_at(uri.socket, permissions)]
            else:
                self.sockets = _listen_tcp(uri)
                port = self.sockets[0].getsockname()[1]
                self.uri = NbdUri(
                    export=uri.export, host=uri.host, port=port, tls=uri.tls,
                    tls_certificates=uri.tls_certificates,
                )  # fmt: skip
        except socket.gaierror as error:
            raise from_errno(
                errno.EADDRNOTAVAIL, f"there is no such host: {error.strerror}", uri.host
            ) from error
        except OSError as error:
            raise from_errno(
                error.errno or errno.EIO, f"cannot listen for {uri}", uri.place
            ) from error

    def close(self) -> None:
        """Listen no more; the file of a unix socket goes, if it is still the one that was made."""
        for listening in self.sockets:
            listening.close()
        if self._file is None:
            return
        path, made = self._file
        with contextlib.suppress(OSError):
            if os.path.samestat(Path(path).lstat(), made):
                Path(path).unlink()

    def _listen_at(self, path: str, permissions: int) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Of a socket that is not bound yet, this is what its file will have.
            os.fchmod(listening.fileno(), permissions)
            _remove_stale(path)
            listening.bind(path)
            Path(path).chmod(permissions)  # whatever the umask left of it
            self._file = path, Path(path).lstat()
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
        return listening


def _remove_stale(path: str) -> None:
    """Remove the file of a socket that nobody listens on any more."""
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        except BlockingIOError:
            return  # somebody listens, and has much to do


def _listen_tcp(uri: NbdUri) -> list[socket.socket]:
    """On every address of the host; where the port is free to choose, on the first."""
    found = socket.getaddrinfo(
        uri.host or None, uri.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    if not uri.port:
        found = found[:1]
    listening: list[socket.socket] = []
    try:
        for family, kind, number, _, address in found:
            one = socket.socket(family, kind, number)
            listening.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.listen(_BACKLOG)
            one.setblocking(False)
    except BaseException:
        for one in listening:
            one.close()
        raise
    return listening
