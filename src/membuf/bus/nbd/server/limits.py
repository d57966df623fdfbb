"""What one server, and one client of it, may take."""

from __future__ import annotations

from dataclasses import dataclass, fields

from membuf.base.errors import InvalidParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What clients may take; who wants more waits or is dropped, and costs nobody else.

    Attributes:
        connections: clients at once; a further one is closed at once.
        requests: commands of one client on their way; then it is not read from.
        bytes: of those commands; likewise.
        request_bytes: of one read or write; a longer one is answered with EINVAL.
        handshake_seconds: for the negotiation.
        stall_seconds: how long a client may leave a command half sent, or its replies untaken.

    >>> ServerLimits(connections=8).requests
    256
    """

    connections: int = 1024
    requests: int = 256
    bytes: int = 64 << 20
    request_bytes: int = 32 << 20
    handshake_seconds: float = 30.0
    stall_seconds: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise InvalidParameterError(f"{field.name} must be above 0; got {value!r}")
        if self.request_bytes >> 32 or self.request_bytes & (self.request_bytes - 1):
            raise InvalidParameterError(
                f"request_bytes must be a power of two below 2**32; got {self.request_bytes}"
            )
