"""Targets by name: filters on the left, then a scheme that says what kind of thing is opened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from membuf.base.errors import InvalidParameterError
from membuf.bus.names import Layer, Name, parse
from membuf.target.filters import Filter
from membuf.target.target import Target

Opener = Callable[..., Target]
FilterMaker = Callable[..., Filter]

_openers: dict[str, Opener] = {}
_filters: dict[str, type[Filter]] = {}
_makers: dict[str, FilterMaker] = {}


def register_scheme(scheme: str, opener: Opener) -> None:
    """Have `open_target("scheme:rest", ...)` call `opener(rest, ...)`.

    Args:
        scheme: letters, digits and dashes, without the colon; a plus may part two such words.
        opener: returns a target, open and started.

    Raises:
        InvalidParameterError: the scheme is empty, malformed or taken.

    >>> register_scheme("demo-file", lambda rest, **options: open_target(f"file:{rest}", **options))
    >>> open_target("demo-file:/dev/null", access="write").write(b"gone")
    4
    """
    for word in scheme.split("+"):
        _check_name(word, "a scheme", scheme)
    if _openers.setdefault(scheme, opener) is not opener:
        raise InvalidParameterError(f"the scheme {scheme!r} is taken by {_openers[scheme]!r}")


def register_filter(kind: type[Filter], maker: FilterMaker | None = None) -> None:
    """Have `open_target("name(option=value)+...")` put a filter over what follows.

    Args:
        kind: the filter; its `filter_name` and `options` are what the name spells.
        maker: called as `maker(lower, **options)` in place of the class.

    Raises:
        InvalidParameterError: the name is empty, malformed or taken.

    >>> from membuf.target.filters import Filter
    >>> class Plain(Filter):
    ...     filter_name = "plain"
    ...     def steps(self, transfer):
    ...         return (yield transfer.down())
    >>> register_filter(Plain)
    >>> open_target("plain+file:/dev/null", access="write").write(b"gone")
    4
    """
    name = kind.filter_name
    _check_name(name, "a filter's name", name)
    taken = _filters.get(name)
    if taken is not None and not _same(taken, kind):
        raise InvalidParameterError(f"the filter {name!r} is taken by {taken!r}")
    _filters[name] = kind
    _makers[name] = maker or kind


def _same(one: type, other: type) -> bool:
    """Whether two classes are one: a module that is loaded anew has its classes anew."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def schemes() -> list[str]:
    """The schemes that there are, in alphabetical order.

    >>> {"file", "nbd", "ram"}.issubset(schemes())
    True
    """
    return sorted(_openers)


def filter_names() -> list[str]:
    """The names of the filters that there are, in alphabetical order.

    >>> {"cow", "delay", "error"}.issubset(filter_names())
    True
    """
    return sorted(_filters)


def parse_name(uri: str) -> Name:
    """Take a name apart as `open_target` does; whether there is such a scheme is not asked.

    Raises:
        InvalidParameterError: a filter's options are not written as they are to be.

    >>> parse_name("log+nbd+unix:///disk?socket=s").scheme
    'nbd+unix'
    """
    return parse(uri, [scheme for scheme in _openers if "+" in scheme])


def open_target(uri: str, **options: Any) -> Target:
    """Open a target by its name; it is started.

    A name is `SCHEME:REST`, with any number of filters before it, the outermost first:
    `FILTER+FILTER(OPTION=VALUE,OPTION=VALUE)+SCHEME:REST`. The first plus or colon that stands
    outside parentheses ends a part, unless the plus is a scheme's own (`nbd+unix:`); what follows
    the scheme's colon is taken as it is.

    Args:
        uri: `file:PATH` (a file, block device, pipe or other special file), `fd:NUMBER` (an
            open descriptor, e.g. `fd:0` for standard input), `device:NAME` (a live
            `membuf.Device` of this process), `ram:SIZE`, `null:SIZE`, `nbd://HOST:PORT/NAME` and
            `nbd+unix:///NAME?socket=PATH` (a disk of an NBD server; `nbds` for TLS), or one of
            these under filters: `log`, `delay`,
            `error`, `readonly`, `rate`, `stats`, `checksum`, `cow`.
        options: what the scheme takes; for files see `membuf.bus.file.open_file`.

    Returns:
        The target; `with` closes it at the end, and what lies below it.

    Raises:
        InvalidParameterError: there is no such scheme, filter or option.
        TargetError: the system does not let it be opened.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, open_target(f"file:{file.name}") as target:
    ...     count = target.write(b"hello", 0)
    ...     target.size
    5
    >>> with open_target("error(kind=enospc,rate=50%,seed=1)+file:/dev/null") as target:
    ...     target.lower.name
    '/dev/null'
    """
    name = parse_name(uri)
    opener = _openers.get(name.scheme)
    if opener is None:
        known = ", ".join(f"{scheme}:" for scheme in schemes())
        raise InvalidParameterError(
            f"a target is named SCHEME:REST with a scheme among {known}, and filters before it as "
            f"in delay+error(rate=0.1)+file:disk.img; got {uri!r}"
        )
    makers = [_maker(layer, uri) for layer in name.layers]
    # What has no filter keeps its parent; under filters it is theirs.
    parent = options.pop("parent", None) if makers else None
    target = opener(name.rest, **options)
    with contextlib.ExitStack() as undo:
        undo.callback(target.close)
        for index, make in reversed(list(enumerate(makers))):
            target = make(target, **({"parent": parent} if index == 0 and parent else {}))
        undo.pop_all()
    return target


def _maker(layer: Layer, uri: str) -> Callable[..., Filter]:
    """What puts a filter over a target, with its options read."""
    kind = _filters.get(layer.name)
    if kind is None:
        known = ", ".join(filter_names())
        raise InvalidParameterError(
            f"there is no filter {layer.name!r} in {uri!r}; there are {known}"
        )
    options = {name: _option(kind, name, text) for name, text in layer.options}
    make = _makers[layer.name]

    def put_over(lower: Target, **more: Any) -> Filter:
        return make(lower, **options, **more)

    return put_over


def _option(kind: type[Filter], name: str, text: str) -> Any:
    read = kind.options.get(name)
    if read is None:
        known = ", ".join(sorted(kind.options)) or "none"
        raise InvalidParameterError(
            f"the filter {kind.filter_name} has no option {name!r}; it has {known}"
        )
    try:
        return read(text)
    except ValueError as error:
        raise InvalidParameterError(
            f"the option {name} of the filter {kind.filter_name} is not {text!r}: {error}"
        ) from error


def _check_name(word: str, what: str, whole: str) -> None:
    if not word.replace("-", "").isalnum():
        raise InvalidParameterError(f"{what} is letters, digits and dashes; got {whole!r}")
