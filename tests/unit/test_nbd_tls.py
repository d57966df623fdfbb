"""TLS between this library's NBD server and its client, and what folders of certificates lack."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

import membuf
from membuf.bus.nbd import NbdUri, Server, TlsServer, parse_uri
from membuf.bus.nbd.tls import client_context, server_context
from tests.nbd_certificates import make_certificates


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls") / "pki")


def secure(place: Path, pki: Path, **options: object) -> str:
    return str(NbdUri(socket=str(place), tls=True, tls_certificates=str(pki), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("verify", [True, False])
def test_a_secured_disk_is_read_and_written(tmp_path: Path, pki: Path, verify: bool) -> None:
    place = tmp_path / "s"
    tls = TlsServer(str(pki), verify_clients=verify)
    with (
        membuf.open_target("ram:8MiB") as disk,
        Server(disk, NbdUri(socket=str(place)), tls=tls),
        membuf.open_target(secure(place, pki), connections=2) as target,
    ):
        data = os.urandom(3_000_001)
        assert target.write(data, 12345) == len(data)
        target.flush()
        back = bytearray(len(data))
        assert target.read(back, 12345) == len(data)
        assert back == data
        with pytest.raises(membuf.AccessDeniedError, match="requires TLS"):
            membuf.open_target(f"nbd+unix:///?socket={place}")


def test_tls_that_is_allowed_is_not_needed(tmp_path: Path, pki: Path) -> None:
    place = tmp_path / "s"
    tls = TlsServer(str(pki), require=False)
    with (
        membuf.open_target("ram:1MiB") as disk,
        Server(disk, NbdUri(socket=str(place)), tls=tls),
        membuf.open_target(secure(place, pki)) as target,
        membuf.open_target(f"nbd+unix:///?socket={place}") as plain,
    ):
        target.write(b"seen", 0)
        assert plain.read(data := bytearray(4)) == 4
        assert data == b"seen"


def test_a_client_must_show_the_right_certificate(tmp_path: Path, pki: Path) -> None:
    place = tmp_path / "s"
    others = make_certificates(tmp_path / "others")
    (others / "ca-cert.pem").write_bytes((pki / "ca-cert.pem").read_bytes())
    with (
        membuf.open_target("ram:1MiB") as disk,
        Server(disk, NbdUri(socket=str(place)), tls=TlsServer(str(pki), verify_clients=True)),
        pytest.raises(membuf.MembufError) as caught,
    ):
        membuf.open_target(secure(place, others))
    assert str(place) in str(caught.value)


def test_a_server_that_somebody_else_signed_is_not_trusted(tmp_path: Path, pki: Path) -> None:
    place = tmp_path / "s"
    others = make_certificates(tmp_path / "others")
    with (
        membuf.open_target("ram:1MiB") as disk,
        Server(disk, NbdUri(socket=str(place)), tls=TlsServer(str(pki))),
    ):
        with pytest.raises(membuf.AccessDeniedError, match="no TLS with the NBD server"):
            membuf.open_target(secure(place, others))
        with pytest.raises(membuf.AccessDeniedError, match="example"):
            membuf.open_target(secure(place, pki, tls_hostname="example.org"))
        with membuf.open_target(secure(place, others, tls_verify_peer=False)) as target:
            assert target.read(bytearray(4)) == 4


def test_what_is_checked_is_what_the_uri_says() -> None:
    context = client_context(parse_uri("nbds://example.org"))
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    context = client_context(parse_uri("nbds+unix:///?socket=/s"))
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_REQUIRED)
    context = client_context(parse_uri("nbds+unix:///?socket=/s&tls-hostname=a"))
    assert context.check_hostname
    context = client_context(parse_uri("nbds://example.org?tls-verify-peer=false"))
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_NONE)


@pytest.mark.parametrize("name", ["server-cert.pem", "server-key.pem", "ca-cert.pem"])
def test_a_server_names_the_file_that_it_lacks(tmp_path: Path, name: str) -> None:
    pki = make_certificates(tmp_path / "pki")
    settings = TlsServer(str(pki), verify_clients=True)
    assert server_context(settings).verify_mode is ssl.CERT_REQUIRED
    (pki / name).write_text("no certificate")
    with pytest.raises(membuf.InvalidParameterError, match=name):
        server_context(settings)
    (pki / name).unlink()
    with pytest.raises(membuf.TargetNotFoundError, match=name):
        server_context(settings)


@pytest.mark.parametrize("name", ["client-cert.pem", "client-key.pem", "ca-cert.pem"])
def test_a_client_names_the_file_that_it_lacks(tmp_path: Path, name: str) -> None:
    pki = make_certificates(tmp_path / "pki")
    uri = NbdUri(tls=True, tls_certificates=str(pki))
    assert client_context(uri).verify_mode is ssl.CERT_REQUIRED
    (pki / name).write_text("no certificate")
    with pytest.raises(membuf.InvalidParameterError, match=name):
        client_context(uri)
    (pki / name).unlink()
    with pytest.raises(membuf.TargetNotFoundError, match=name):
        client_context(uri)


def test_a_certificate_and_a_key_must_fit_each_other(tmp_path: Path) -> None:
    pki = make_certificates(tmp_path / "pki")
    (pki / "server-key.pem").write_bytes((pki / "client-key.pem").read_bytes())
    with pytest.raises(membuf.InvalidParameterError, match="a certificate and its key"):
        server_context(TlsServer(str(pki)))
