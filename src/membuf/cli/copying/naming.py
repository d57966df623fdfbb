"""What SRC and DST name: a standard stream, a path, or any target by its URI."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from membuf.base.errors import InvalidParameterError
from membuf.bus.registry import filter_names, parse_name, schemes
from membuf.cli.copying.job import STANDARD_STREAM
from membuf.cli.failure import CommandError, ExitCode

STANDARD_INPUT: Final = "standard input"
STANDARD_OUTPUT: Final = "standard output"

_FILES: Final = ("file", "fd")
_OPTIONS: Final = re.compile(r"\([^()]*\)")


class Place(NamedTuple):
    """What the command line names.

    Attributes:
        name: what messages call it.
        filters: the names of its filters, the outermost first.
        prefix: the same as they were written, with their options and the last plus.
        scheme: what kind of thing it is.
        rest: which one; of a file its path, of a descriptor its number.

    >>> place_of("disk.img")
    Place(name='disk.img', filters=(), prefix='', scheme='file', rest='disk.img')
    >>> place_of("rate(limit=1MiB/s)+ram:1GiB")
    Place(name='rate(limit=1MiB/s)+ram:1GiB', filters=('rate',), prefix='rate(limit=1MiB/s)+', \
scheme='ram', rest='1GiB')
    """

    name: str
    filters: tuple[str, ...]
    prefix: str
    scheme: str
    rest: str

    @property
    def is_file(self) -> bool:
        """Whether it is a path or a descriptor, and what is written to it arrives there.

        What a copy-on-write filter is over stays as it is.
        """
        return self.scheme in _FILES and "cow" not in self.filters

    @property
    def is_nbd(self) -> bool:
        """Whether it is an export of an NBD server."""
        return self.scheme.startswith("nbd")

    def uri(self, rest: str | None = None) -> str:
        """What `open_target` takes; `rest` stands for its own."""
        return f"{self.prefix}{self.scheme}:{self.rest if rest is None else rest}"


def place_of(text: str, *, output: bool = False) -> Place:
    """What a word of the command line names.

    A word is a URI if everything before its first colon outside parentheses is known filters and a
    scheme; else it is a path, or a standard stream.

    Args:
        text: the word.
        output: whether `-` is standard output.

    Raises:
        CommandError: a filter's options are not written as they are to be.

    >>> place_of("-").rest, place_of("-", output=True).rest, place_of("null:").scheme
    ('0', '1', 'null')
    >>> place_of("./null:").scheme, place_of("log+what:is:this").scheme
    ('file', 'file')
    """
    if text == STANDARD_STREAM:
        name = STANDARD_OUTPUT if output else STANDARD_INPUT
        return Place(name, (), "", "fd", "1" if output else "0")
    if not _is_uri(text):
        return Place(text, (), "", "file", text)
    try:
        layers, scheme, rest = parse_name(text)
    except InvalidParameterError as error:
        raise CommandError(f"cannot open {text}: {error}", ExitCode.USAGE) from error
    filters = tuple(layer.name for layer in layers)
    return Place(text, filters, text[: len(text) - len(f"{scheme}:{rest}")], scheme, rest)


def hint_of(place: Place) -> str:
    """What to say of a path that is not there: it may have been meant as a URI.

    >>> hint_of(place_of("rma:64MiB"))
    'it is taken for a path: URIs begin with device:, fd:, file:, ...'
    >>> hint_of(place_of("disk.img")), hint_of(place_of("./rma:64MiB"))
    ('', '')
    """
    before, colon, _ = _without_options(place.rest).partition(":")
    words = [word.replace("-", "") for word in before.split("+")]
    if not colon or place.prefix or not all(word.isalnum() for word in words):
        return ""
    known = ", ".join(f"{scheme}:" for scheme in schemes())
    filters = ", ".join(filter_names())
    return f"it is taken for a path: URIs begin with {known}; or with a filter: {filters}"


def _without_options(text: str) -> str:
    bare, before = text, ""
    while bare != before:
        bare, before = _OPTIONS.sub("", bare), bare
    return bare


def _is_uri(text: str) -> bool:
    if ":" not in text:
        return False
    try:
        layers, scheme, _ = parse_name(_without_options(text))
    except InvalidParameterError:
        return False
    filters = filter_names()
    return scheme in schemes() and all(layer.name in filters for layer in layers)
