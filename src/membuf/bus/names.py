"""How targets are named: filters with their options, a scheme, and the rest."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from membuf.base.errors import InvalidParameterError


class Layer(NamedTuple):
    """A filter in a target's name.

    Attributes:
        name: which one.
        options: (name, value) pairs, both as text.
    """

    name: str
    options: tuple[tuple[str, str], ...]


class Name(NamedTuple):
    """A target's name in its parts.

    Attributes:
        layers: its filters, the outermost first.
        scheme: what kind of thing is opened; "" where it does not say.
        rest: which one; taken as it is.
    """

    layers: tuple[Layer, ...]
    scheme: str
    rest: str


def parse(uri: str, schemes: Collection[str] = ()) -> Name:
    """Take a target's name apart.

    Args:
        uri: the name.
        schemes: those with a plus in them, which would else end a filter's name.

    Raises:
        InvalidParameterError: a filter's options are not written as they are to be.

    >>> parse("log+error(kind=eio,rate=0.1)+file:a+b(c).img")
    Name(layers=(Layer(name='log', options=()), Layer(name='error', options=(('kind', 'eio'), \
('rate', '0.1')))), scheme='file', rest='a+b(c).img')
    >>> parse("log+nbd+unix:///x?socket=/s", ["nbd+unix"])
    Name(layers=(Layer(name='log', options=()),), scheme='nbd+unix', rest='///x?socket=/s')
    """
    layers: list[Layer] = []
    start = 0
    while True:
        colon = _end(uri, start, ":")
        whole = colon < len(uri) and uri[start:colon] in schemes
        end = colon if whole else _end(uri, start, "+:")
        if end == len(uri):
            return Name(tuple(layers), "", uri[start:])
        if uri[end] == ":":
            return Name(tuple(layers), uri[start:end], uri[end + 1 :])
        layers.append(_layer(uri[start:end], uri))
        start = end + 1


def _end(text: str, start: int, stops: str) -> int:
    """Where the next of some characters stands outside parentheses, or the end."""
    depth = 0
    for index in range(start, len(text)):
        character = text[index]
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif not depth and character in stops:
            return index
    return len(text)


def _layer(text: str, uri: str) -> Layer:
    name, parenthesis, inside = text.partition("(")
    if not parenthesis:
        return Layer(name, ())
    if not inside.endswith(")"):
        raise InvalidParameterError(f"a parenthesis is not closed in {text!r} of {uri!r}")
    inside = inside[:-1]
    options: list[tuple[str, str]] = []
    start = 0
    while start < len(inside):
        end = _end(inside, start, ",")
        options.append(_pair(inside[start:end], uri))
        start = end + 1
    return Layer(name, tuple(options))


def _pair(text: str, uri: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidParameterError(f"an option is written NAME=VALUE; got {text!r} in {uri!r}")
    return name.strip(), value.strip()
