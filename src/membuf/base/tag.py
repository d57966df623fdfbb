"""Pool tags: four bytes that say who allocated."""

from __future__ import annotations

from typing import Self, SupportsIndex

from membuf.base.errors import InvalidParameterError
from membuf.base.integers import exact_index

_BYTES = 4
_LIMIT = 2**32


class Tag(int):
    """A pool tag: the 32-bit number of C, shown as the one to four characters people read.

    Args:
        value: a number as in C (0x64657246), or one to four characters in display order (b"Fred"
            or "Fred").

    Raises:
        InvalidParameterError: no or more than four characters, one that is not ASCII, or a number
            outside 32 bits.
        TypeError: neither a number nor characters.

    Source: the tag rules of `ExAllocatePoolWithTag`; tags are stored little-endian.

    >>> Tag(b"Fred"), int(Tag(b"Fred")) == 0x64657246 == Tag.literal("derF")
    (Tag(b'Fred'), True)
    >>> str(Tag(b"Io")), int(Tag(b"Io")) == 0x6F49
    ('Io', True)
    """

    __slots__ = ()

    def __new__(cls, value: str | bytes | SupportsIndex) -> Self:
        """Read a number or characters."""
        if isinstance(value, (str, bytes)):
            return super().__new__(cls, int.from_bytes(_characters(value), "little"))
        number = exact_index(value, "tag")
        if not 0 <= number < _LIMIT:
            raise InvalidParameterError(f"a tag has 32 bits; got {number:#x}")
        return super().__new__(cls, number)

    @classmethod
    def literal(cls, characters: str | bytes) -> Self:
        """The tag of a C character literal, which reads backwards: 'derF' displays as Fred.

        >>> str(Tag.literal("derF"))
        'Fred'
        """
        return cls(_characters(characters)[::-1])

    @property
    def characters(self) -> bytes:
        """The bytes in memory, which is display order, without the zeros that pad a short tag.

        >>> Tag(0x64657246).characters
        b'Fred'
        """
        return self.to_bytes(_BYTES, "little").rstrip(b"\0")

    def __repr__(self) -> str:
        return f"Tag({self.characters!r})"

    def __str__(self) -> str:
        return self.characters.decode("latin-1")


def _characters(value: str | bytes) -> bytes:
    try:
        characters = value.encode("ascii") if isinstance(value, str) else bytes(value)
    except UnicodeEncodeError:
        raise InvalidParameterError(
            f"a tag is one to four ASCII characters; got {value!r}"
        ) from None
    if not 1 <= len(characters) <= _BYTES:
        raise InvalidParameterError(f"a tag is one to four characters; got {value!r}")
    return characters
