"""I/O control codes: what is packed into their 32 bits."""

from __future__ import annotations

from typing import Final, NamedTuple

from membuf.base.errors import InvalidParameterError

BUFFERED_METHOD: Final = 0
IN_DIRECT: Final = 1
OUT_DIRECT: Final = 2
NEITHER_METHOD: Final = 3

ANY_ACCESS: Final = 0
READ_ACCESS: Final = 1
WRITE_ACCESS: Final = 2

_LIMITS: Final = {"device_type": 0x10000, "function": 0x1000, "method": 4, "access": 4}


class ControlCode(NamedTuple):
    """The fields of a control code.

    Attributes:
        device_type: bits 16 to 31; 0x8000 and above are vendors'.
        function: bits 2 to 13; 0x800 and above are vendors'.
        method: 0 buffered, 1 in direct, 2 out direct, 3 neither.
        access: what the file must be open for: 0 anything, 1 read, 2 write, 3 both.

    Source: CTL_CODE; defining I/O control codes.

    >>> ControlCode.decode(0x22200A)
    ControlCode(device_type=34, function=2050, method=2, access=0)
    >>> hex(ControlCode(0x22, 0x800, method=3, access=3).encode())
    '0x22e003'
    """

    device_type: int
    function: int
    method: int = BUFFERED_METHOD
    access: int = ANY_ACCESS

    @classmethod
    def decode(cls, code: int) -> ControlCode:
        """Take a code apart.

        Raises:
            InvalidParameterError: more than 32 bits.
        """
        if not 0 <= code < 1 << 32:
            raise InvalidParameterError(f"a control code has 32 bits; got {code:#x}")
        return cls(code >> 16, code >> 2 & 0xFFF, code & 3, code >> 14 & 3)

    def encode(self) -> int:
        """Put the fields together.

        Raises:
            InvalidParameterError: a field does not fit.
        """
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not 0 <= value < limit:
                raise InvalidParameterError(f"{name} is below {limit:#x}; got {value:#x}")
        return self.device_type << 16 | self.access << 14 | self.function << 2 | self.method
