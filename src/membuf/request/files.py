"""File objects: what is open of a device, and by whom."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

from membuf._native import Object, set_undeletable
from membuf.base.errors import InvalidParameterError
from membuf.request.ioctl import READ_ACCESS, WRITE_ACCESS

if TYPE_CHECKING:
    from membuf.request.device import Device

ACCESS: Final = {
    "read": READ_ACCESS,
    "write": WRITE_ACCESS,
    "read-write": READ_ACCESS | WRITE_ACCESS,
}


class FileObject(Object):
    """One opening of a device; its driver cannot delete it.

    Attributes:
        device: what is open.
        granted: what it is open for, bits as in a control code's access.
        owner: process and thread that opened it.

    >>> import membuf
    >>> membuf.Device("file-doc").open("read").file.granted
    1
    """

    __slots__ = ("device", "granted", "owner")

    def __init__(self, device: Any, access: str = "read-write") -> None:
        super().__init__()
        if access not in ACCESS:
            raise InvalidParameterError(
                f'access must be "read", "write" or "read-write"; got {access!r}'
            )
        self.device: Device = device
        self.granted: int = ACCESS[access]
        self.owner: tuple[int, int] = (os.getpid(), threading.get_ident())
        set_undeletable(self)
