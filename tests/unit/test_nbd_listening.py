"""Where servers listen: the files of sockets, ports, and clients that cannot be taken."""

from __future__ import annotations

import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus.nbd import NbdUri, Server, ServerLimits
from tests.nbd import MIB, Client, eventually, serving


@pytest.fixture
def ram() -> Iterator[Any]:
    """A disk in memory."""
    with membuf.open_target("ram:1MiB") as one:
        yield one


@pytest.mark.parametrize(("given", "mode"), [({}, 0o600), ({"permissions": 0o666}, 0o666)])
def test_the_socket_has_its_permissions_whatever_the_umask(
    ram: Any, given: dict[str, int], mode: int
) -> None:
    before = os.umask(0o022)
    try:
        with serving(ram, **given) as server:
            path = Path(str(server.uri.socket))
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert stat.S_ISSOCK(path.stat().st_mode)
    finally:
        os.umask(before)
    assert not path.exists()


def test_a_socket_that_nobody_listens_on_is_replaced(ram: Any, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with Server(ram, NbdUri(socket=str(path))) as server, Client(server.uri) as client:
        assert client.go().size == MIB
    assert not path.exists()


def test_a_socket_that_somebody_listens_on_is_left(ram: Any, tmp_path: Path) -> None:
    uri = NbdUri(socket=str(tmp_path / "s"))
    with Server(ram, uri), Client(uri) as client:
        with pytest.raises(membuf.TargetError, match="in use"):
            Server(ram, uri).start()
        assert client.go().size == MIB
    (tmp_path / "s").write_text("a file")
    with pytest.raises(membuf.TargetError, match="in use"):
        Server(ram, uri).start()
    assert (tmp_path / "s").read_text() == "a file"


def test_a_socket_that_is_anothers_by_now_is_left(ram: Any, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Server(ram, NbdUri(socket=str(path))):
        path.unlink()
        path.write_text("another")
    assert path.read_text() == "another"


@pytest.mark.parametrize(
    "uri",
    [
        "nbd+unix:///?socket=/no/such/folder/s",
        "nbd+unix:///?socket=" + "x" * 200,
        "nbd://192.0.2.1/",
        "nbd://no.such.host.invalid/",
    ],
)
def test_where_one_cannot_listen_starting_says_so(ram: Any, uri: str) -> None:
    with pytest.raises(membuf.MembufError):
        Server(ram, uri).start()
    data = bytearray(4)
    assert ram.read(data, 0) == 4


def test_a_port_that_is_taken_is_refused(ram: Any) -> None:
    with serving(ram, tcp=True) as server:
        with pytest.raises(membuf.TargetError, match="in use"):
            Server(ram, server.uri).start()
        with Client(server.uri) as client:
            assert client.go().size == MIB


def test_too_many_clients_are_turned_away(ram: Any, caplog: pytest.LogCaptureFixture) -> None:
    with serving(ram, limits=ServerLimits(connections=2)) as server:
        with Client(server.uri) as one, Client(server.uri) as two, Client(server.uri) as three:
            one.go()
            two.go()
            assert three.hung_up
            assert one.read(0, 4) == bytes(4)
        eventually(lambda: server.statistics().connections == 0)
        with Client(server.uri) as four:
            four.go()
        assert server.statistics().refused == 1
    assert "a client is refused" in caplog.text


def test_without_descriptors_a_client_waits_and_nothing_spins(
    ram: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = socket.socket.accept
    failures = 2

    def accept(self: socket.socket) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(24, "Too many open files")
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    with caplog.at_level(logging.WARNING), serving(ram) as server, Client(server.uri) as client:
        assert client.go().size == MIB
    assert failures == 0
    assert caplog.text.count("no client can be accepted now") == 2


def test_a_client_that_is_gone_before_it_is_accepted_is_no_matter(ram: Any) -> None:
    with serving(ram, tcp=True) as server:
        for _ in range(20):
            Client(server.uri).close()
        with Client(server.uri) as client:
            assert client.go().size == MIB
        eventually(lambda: server.statistics().connections == 0)
    assert server.statistics().connections_total == 21
