"""NBD URIs: what they name, how they are written again, and what is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from membuf import InvalidParameterError
from membuf.bus.nbd import NbdUri, parse_uri

GOOD: dict[str, dict[str, Any]] = {
    "nbd://host": {"host": "host"},
    "nbd://host/": {"host": "host"},
    "nbd://HOST:1234/name": {"host": "host", "port": 1234, "export": "name"},
    "NBD://host/Name": {"host": "host", "export": "Name"},
    "nbd://host:/": {"host": "host"},
    "nbd:///name": {"host": "localhost", "export": "name"},
    "nbd://127.0.0.1:1/a/b//c": {"host": "127.0.0.1", "port": 1, "export": "a/b//c"},
    "nbd://host//slash": {"host": "host", "export": "/slash"},
    "nbd://[::1]:65535/x": {"host": "::1", "port": 65535, "export": "x"},
    "nbd://[fe80::1%eth0]/": {"host": "fe80::1%eth0"},
    "nbd://host/a%20b%3Fc%23d%25": {"host": "host", "export": "a b?c#d%"},
    "nbd://host/gr%C3%B6%C3%9Fe": {"host": "host", "export": "größe"},
    "nbd://host/a+b": {"host": "host", "export": "a+b"},
    "nbd+unix:///?socket=/tmp/s": {"socket": "/tmp/s"},
    "nbd+unix:///name?socket=/tmp/a%20b%26c": {"socket": "/tmp/a b&c", "export": "name"},
    "nbd+unix:///?socket=relative+plus": {"socket": "relative+plus"},
    "nbds://host/": {"host": "host", "tls": True},
    "nbds://host/?tls-certificates=/etc/pki&tls-hostname=other&tls-verify-peer=false": {
        "host": "host",
        "tls": True,
        "tls_certificates": "/etc/pki",
        "tls_hostname": "other",
        "tls_verify_peer": False,
    },
    "nbds://host/?tls-verify-peer=true": {"host": "host", "tls": True},
    "nbds://host/?tls-hostname=": {"host": "host", "tls": True, "tls_hostname": ""},
    "nbds+unix:///x?tls-verify-peer=0&socket=s": {
        "socket": "s",
        "export": "x",
        "tls": True,
        "tls_verify_peer": False,
    },
}


@pytest.mark.parametrize("text", GOOD)
def test_a_uri_names_its_parts(text: str) -> None:
    assert parse_uri(text) == NbdUri(**GOOD[text])


@pytest.mark.parametrize("text", GOOD)
def test_a_uri_written_again_names_the_same(text: str) -> None:
    uri = parse_uri(text)
    assert parse_uri(str(uri)) == uri


WRITTEN = {
    "nbd://localhost": NbdUri(),
    "nbd://localhost:1": NbdUri(port=1),
    "nbd://h/x": NbdUri(host="h", export="x"),
    "nbd://[::1]:7/a%20b": NbdUri(host="::1", port=7, export="a b"),
    "nbd+unix:///?socket=/s": NbdUri(socket="/s"),
    "nbds+unix:///%3F?socket=a%26b&tls-verify-peer=false": NbdUri(
        socket="a&b", export="?", tls=True, tls_verify_peer=False
    ),
    "nbds://h?tls-certificates=/c&tls-hostname=n": NbdUri(
        host="h", tls=True, tls_certificates="/c", tls_hostname="n"
    ),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_uri_is_written(text: str) -> None:
    assert str(WRITTEN[text]) == text
    assert parse_uri(text) == WRITTEN[text]


BAD = {
    "": "scheme",
    "host": "scheme",
    "nbd": "scheme",
    "nbd:": "scheme",
    "nbd:/host": "scheme",
    "nbd:host": "scheme",
    "http://host/": "scheme",
    "nbd+vsock://1/": "scheme",
    "nbds+ssh://host/": "scheme",
    "nbd+unix://host/?socket=s": "no host",
    "nbd+unix:///": "socket=PATH",
    "nbd+unix:///?socket=": "socket=PATH",
    "nbd+unix:///name": "socket=PATH",
    "nbd://host/?socket=s": "unix",
    "nbd://host:0/": "1 to 65535",
    "nbd://host:65536/": "range",
    "nbd://host:-1/": "ort",
    "nbd://host:x/": "ort",
    "nbd://user@host/": "user",
    "nbd://user:word@host/": "user",
    "nbd://@host/": "user",
    "nbd://host/#part": "fragment",
    "nbd://[::1/": "IPv6",
    "nbd://host/?x=1": "'x' is not known",
    "nbd://host/?tls-certificates=/c": "go with nbds",
    "nbd+unix:///?socket=s&tls-verify-peer=false": "go with nbds",
    "nbds://host/?tls-verify-peer=maybe": "true or false",
    "nbds://host/?tls-verify-peer=": "true or false",
    "nbds://host/?tls-verify-peer": "NAME=VALUE",
    "nbds://host/?tls-hostname=a&tls-hostname=b": "twice",
    "nbds://host/?&": "NAME=VALUE",
    "nbd://host/a b": "spaces",
    " nbd://host/": "spaces",
    "nbd://ho\nst/": "control",
    "nbd://host/\t": "control",
    "nbd://host/\x7f": "control",
    "nbd://host/%00": "NUL",
    "nbd+unix:///?socket=%00name": "NUL",
    "nbd://host/%ff": "UTF-8",
    "nbd://host/\udcff": "UTF-8",
    "nbd+unix:///?socket=%c3": "UTF-8",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_none_is_refused_with_what_is_wrong(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="an NBD URI is written") as caught:
        parse_uri(text)
    assert BAD[text] in str(caught.value)


NAMES = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@given(export=NAMES, socket=NAMES.filter(bool), tls=some.booleans(), hostname=NAMES | some.none())
def test_every_name_can_be_written(
    export: str, socket: str, tls: bool, hostname: str | None
) -> None:
    uri = NbdUri(export=export, socket=socket, tls=tls, tls_hostname=hostname if tls else None)
    assert parse_uri(str(uri)) == uri


@given(some.text(max_size=40))
def test_any_text_is_a_uri_or_refused(tail: str) -> None:
    text = f"nbd://{tail}"
    try:
        uri = parse_uri(text)
    except InvalidParameterError as error:
        assert repr(text) in str(error)  # noqa: PT017 - either is right
    else:
        assert parse_uri(str(uri)) == uri


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        (NbdUri(socket="/s"), "/s"),
        (NbdUri(host="h", port=5), "h:5"),
        (NbdUri(host="::1"), "[::1]:10809"),
    ],
)
def test_where_a_server_listens_in_words(uri: NbdUri, place: str) -> None:
    assert uri.place == place
