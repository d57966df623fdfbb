"""Clients that attack a server over TLS: floods, half commands, words in the clear, slowness."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

import membuf
from membuf.bus.nbd import Server, ServerLimits
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Command, Option, Reply
from membuf.bus.nbd.tls import TlsServer
from tests.nbd import (
    MIB,
    Client,
    command,
    eventually,
    handshake,
    named,
    nothing_left,
    option,
    serving,
    write,
)
from tests.nbd_certificates import make_certificates

PATTERN = bytes(range(256)) * (MIB // 256)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of certificates."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture
def server(certificates: Path) -> Iterator[Server]:
    """A server that requires TLS."""
    tls = TlsServer(str(certificates))
    limits = ServerLimits(stall_seconds=2.0, requests=64, bytes=4 << 20, handshake_seconds=5.0)
    with membuf.open_target("ram:1MiB") as disk:
        disk.write(PATTERN, 0)
        with nothing_left(), serving(disk, tls=tls, limits=limits) as one:
            yield one
            with secured(one, certificates) as client:
                assert client.go_on().read(0, 1000) == PATTERN[:1000]


class Secured(Client):
    """A client that has secured its connection."""

    def secure(self, certificates: Path) -> Secured:
        """Ask for TLS, and begin it."""
        self.greet()
        assert self.ask(Option.STARTTLS)[-1].kind == Reply.ACK
        context = ssl.create_default_context(cafile=str(certificates / "ca-cert.pem"))
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        return self

    def go_on(self) -> Secured:
        """Take the export, with structured replies."""
        self.structured = self.ask(Option.STRUCTURED_REPLY)[-1].kind == Reply.ACK
        assert self.ask(Option.GO, named(b""))[-1].kind == Reply.ACK
        return self


def secured(server: Server, certificates: Path, **more: int) -> Secured:
    """A client with TLS."""
    return Secured(server.uri, **more).secure(certificates)


@pytest.mark.parametrize("length", [1, 16384, 16385, 300_000, MIB])
def test_what_is_written_is_read(server: Server, certificates: Path, length: int) -> None:
    with secured(server, certificates) as client:
        client.go_on()
        client.write(0, PATTERN[:length])
        assert client.read(0, length) == PATTERN[:length]


def test_a_flood_of_commands_is_answered_in_order(server: Server, certificates: Path) -> None:
    with secured(server, certificates) as client:
        client.go_on()
        for first in range(0, 3000, 60):  # a client's two directions are one thread's
            numbers = range(first, first + 60)
            client.send(*[read_or_write(number) for number in numbers])
            for number in numbers:
                done = client.reply()
                assert (done.cookie, done.error) == (number, 0)
                assert done.data[8:] == (b"" if number % 3 else PATTERN[number : number + 4000])


def read_or_write(number: int) -> bytes:
    """A read, or a write that changes nothing."""
    if number % 3:
        return write(number, PATTERN[number : number + 100], cookie=number)
    return command(Command.READ, number, 4000, cookie=number)


def test_words_in_the_clear_are_not_taken_for_what_is_secret(
    server: Server, certificates: Path
) -> None:
    with Client(server.uri) as client:
        client.greet()
        client.send(option(Option.STARTTLS), option(Option.STRUCTURED_REPLY), handshake()[4:])
        assert client.answer(Option.STARTTLS).kind == Reply.ACK
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while part := client.sock.recv(MIB):
                said += part
        assert nbd.OPTION_REPLY_MAGIC.to_bytes(8, "big") not in said
    assert server.statistics().requests["read"] == 0


def test_a_handshake_that_never_ends_is_ended(server: Server) -> None:
    with Client(server.uri) as client:
        client.greet()
        assert client.ask(Option.STARTTLS)[-1].kind == Reply.ACK
        client.send(b"\x16\x03\x01\x02\x00")  # the head of a record that never comes
        assert client.hung_up
        eventually(lambda: server.statistics().refused == 1)


@pytest.mark.parametrize("left", [1, 512, 4000])
def test_of_a_write_that_breaks_off_nothing_is_written(
    server: Server, certificates: Path, left: int
) -> None:
    with secured(server, certificates) as client:
        client.go_on().send(write(0, b"x" * 4096)[:-left])
    eventually(lambda: server.statistics().connections == 0)
    assert server.statistics().bytes_written == 0


def test_garbage_on_the_socket_ends_the_connection(server: Server, certificates: Path) -> None:
    with secured(server, certificates) as client:
        client.go_on()
        plain = socket.socket(fileno=os.dup(client.sock.fileno()))  # beneath the TLS
        plain.sendall(bytes(100))
        plain.close()
        with contextlib.suppress(OSError):
            while client.sock.recv(MIB):
                pass
        eventually(lambda: server.statistics().connections == 0)
    assert server.statistics().connections_total == 1


def test_who_never_reads_is_dropped(server: Server, certificates: Path) -> None:
    with secured(server, certificates, receive_buffer=4096) as client:
        client.go_on()
        for _ in range(30):
            client.begin(Command.READ, 0, 300_000)
        eventually(lambda: server.statistics().in_flight > 10)
        eventually(lambda: server.statistics().connections == 0)
    assert server.statistics().connections_total == 1


def test_a_stop_answers_what_was_asked(server: Server, certificates: Path) -> None:
    with secured(server, certificates) as client:
        client.go_on()
        cookies = [client.begin(Command.READ, 0, 100_000) for _ in range(5)]
        client.send(command(Command.DISC))
        assert [client.reply().cookie for _ in cookies] == cookies
        with contextlib.suppress(OSError):
            assert client.sock.recv(1) == b""
    eventually(lambda: server.statistics().connections == 0)
