"""Names of targets: filters, schemes with a plus of their own, and the rest."""

from __future__ import annotations

import pytest

import membuf
from membuf.bus import open_target, register_filter, register_scheme
from membuf.bus.names import parse
from membuf.target.filters import Filter, Steps, Transfer

UNIX = ["nbd+unix", "nbds+unix"]


@pytest.mark.parametrize(
    ("uri", "layers", "scheme", "rest"),
    [
        ("nbd+unix:///x?socket=/s", [], "nbd+unix", "///x?socket=/s"),
        ("delay+nbd+unix:///x?socket=/s", ["delay"], "nbd+unix", "///x?socket=/s"),
        ("a+b(c=d)+nbds+unix:x", ["a", "b"], "nbds+unix", "x"),
        ("nbd://host/a+b:c", [], "nbd", "//host/a+b:c"),
        ("log+nbd://host", ["log"], "nbd", "//host"),
        ("nbd+file:x", ["nbd"], "file", "x"),
        ("nbd+unix+file:x", ["nbd", "unix"], "file", "x"),
        ("nbd(a=b)+unix:x", ["nbd"], "unix", "x"),
        ("file:nbd+unix:x", [], "file", "nbd+unix:x"),
        ("nbd+unix", ["nbd"], "", "unix"),
    ],
)
def test_a_plus_ends_a_filter_unless_it_is_a_schemes(
    uri: str, layers: list[str], scheme: str, rest: str
) -> None:
    name = parse(uri, UNIX)
    assert ([layer.name for layer in name.layers], name.scheme, name.rest) == (layers, scheme, rest)


def test_a_scheme_with_a_plus_is_opened_under_filters() -> None:
    register_scheme("names-test+null", lambda rest: open_target(f"null:{rest}"))
    with open_target("delay(time=0s)+names-test+null:4096") as target:
        assert target.size == 4096
    with pytest.raises(membuf.InvalidParameterError, match=r"names-test\+null:"):
        open_target("names-test+zero:4096")


@pytest.mark.parametrize("scheme", ["", "+", "a+", "+a", "a++b", "a:b", "a b+c"])
def test_a_malformed_scheme_is_refused(scheme: str) -> None:
    with pytest.raises(membuf.InvalidParameterError, match="a scheme is letters"):
        register_scheme(scheme, lambda rest: open_target("null:"))


def test_a_filter_has_no_plus_in_its_name() -> None:
    class Plus(Filter):
        filter_name = "a+b"

        def steps(self, transfer: Transfer) -> Steps:
            return (yield transfer.down())

    with pytest.raises(membuf.InvalidParameterError, match="a filter's name is letters"):
        register_filter(Plus)
