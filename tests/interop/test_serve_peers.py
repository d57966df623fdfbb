"""`membuf serve` under the programs of others: nbdinfo, qemu-io, nbdcopy and fio."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.cli import MIB, make_data, make_sparse
from tests.nbd_certificates import make_certificates
from tests.nbd_serving import PROGRAMS, run
from tests.serving import EXAMPLES, Process, serving

SERVED = {
    "ram": ["ram:16MiB"],
    "filters": ["stats+checksum+delay(time=100us)+rate(limit=10GiB/s)+ram:16MiB"],
    "file": ["file:disk.img"],
    "ram_disk": [EXAMPLES / "ram_disk.py", "--set", "size=16MiB"],
    "throttled_disk": [EXAMPLES / "throttled_disk.py", "--set", "latency=1ms"],
    "encrypted_disk": [
        EXAMPLES / "encrypted_disk.py", "--set", "below=file:disk.img", "--set", "keyfile=disk.key",
    ],
    "compressed_disk": [
        EXAMPLES / "compressed_disk.py", "--set", "store=small.db", "--set", "size=16MiB",
    ],
    "retry_filter": [
        EXAMPLES / "retry_filter.py", "--set", "below=error(rate=10%,seed=3)+ram:16MiB",
        "--set", "tries=9", "--set", "wait=1us",
    ],
    "threads": [EXAMPLES / "ram_disk.py", "--threads", "4"],
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the server listens; beside it is what the drivers need."""
    make_sparse(tmp_path / "disk.img", 16 * MIB, {})
    make_data(tmp_path / "disk.key", 64)
    return tmp_path / "s"


def qemu_io(uri: str, *commands: str, ok: int | None = 0) -> str:
    """Have qemu-io do something."""
    words = [word for command in commands for word in ("-c", command)]
    said = run("qemu-io", "-f", "raw", *words, uri, ok=ok)
    assert "Pattern verification failed" not in said
    return said


def nbdinfo(uri: str) -> dict[str, object]:
    """What nbdinfo says of the only export."""
    (export,) = json.loads(run("nbdinfo", "--json", uri))["exports"]
    return dict(export)


@pytest.mark.parametrize("name", list(SERVED))
def test_what_is_served_is_a_disk(name: str, place: Path) -> None:
    with serving(*SERVED[name], place=place, cwd=place.parent) as server:
        assert nbdinfo(server.uri)["is_read_only"] is False
        said = qemu_io(
            server.uri,
            "write -P 90 8192 131072",
            "flush",
            "read -P 90 8192 131072",
            "write -z 16384 65536",
            "read -P 0 16384 65536",
            "discard 65536 8192",
        )
        assert "failed" not in said
    assert "error:" not in server.err
    outstanding = [line.split() for line in server.err.splitlines() if "paged" in line]
    assert outstanding
    assert all(words[-3] == "0" for words in outstanding), server.err


def test_images_go_to_and_fro(place: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "in", 16 * MIB)
    with serving("file:disk.img", place=place, cwd=tmp_path) as server:
        run("nbdcopy", tmp_path / "in", server.uri)
        run("nbdcopy", server.uri, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == data
    assert (tmp_path / "disk.img").read_bytes() == data


def test_an_export_is_known_by_its_name(place: Path) -> None:
    with serving("ram:1MiB", place=place, export="disk") as server:
        found = nbdinfo(server.uri)
        assert (found["export-name"], found["export-size"]) == ("disk", MIB)
        assert "disk" in run("nbdinfo", "--list", server.uri)


def test_what_is_read_only_takes_no_writes(place: Path, tmp_path: Path) -> None:
    make_data(tmp_path / "disk.img", MIB)
    with serving("file:disk.img", "--read-only", place=place, cwd=tmp_path) as server:
        assert nbdinfo(server.uri)["is_read_only"] is True
        assert "Permission denied" in qemu_io(server.uri, "write 0 512", ok=None)
        assert "512/512" in run("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", server.uri)


# ---- TLS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["require", "allow"])
@pytest.mark.parametrize("by_uri", [True, False])
def test_certificates(place: Path, tmp_path: Path, mode: str, *, by_uri: bool) -> None:
    folder = make_certificates(tmp_path / "pki")
    options = ["--tls", mode] + ([] if by_uri else ["--tls-certificates", folder])
    query = f"&tls-certificates={folder}" if by_uri else ""
    with serving("ram:1MiB", *options, place=place, scheme="nbds+unix", query=query) as server:
        secure = server.out.splitlines()[0].split(" at ")[1]
        assert secure == f"nbds+unix:///?socket={place}&tls-certificates={folder}"
        assert nbdinfo(f"{secure}&tls-verify-peer=false")["export-size"] == MIB
        plain = run("nbdinfo", server.uri, ok=0 if mode == "allow" else None)
        assert ("export-size: 1048576" in plain) is (mode == "allow")


def test_clients_without_a_certificate_are_refused(place: Path, tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "pki")
    stranger = make_certificates(tmp_path / "other")
    with serving(
        "ram:1MiB", "--tls-verify-clients", "--json", place=place, scheme="nbds+unix",
        query=f"&tls-certificates={folder}",
    ) as server:  # fmt: skip
        uri = f"nbds+unix:///?socket={place}&tls-verify-peer=false&tls-certificates="
        assert nbdinfo(f"{uri}{folder}")["export-size"] == MIB
        run("nbdinfo", f"{uri}{stranger}", ok=None)
        assert "TLS" in server.event("connection")["message"]


# ---- while it works ------------------------------------------------------------------------------


def fio(server: Process, *options: str) -> subprocess.Popen[bytes]:
    """Have fio write and verify for as long as it is let."""
    return subprocess.Popen(
        ["fio", "--name=load", "--ioengine=nbd", f"--uri={server.uri}", "--rw=randrw", "--bs=4k",
         "--iodepth=32", "--time_based", "--runtime=300", "--size=8m", "--output-format=json",
         *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PATH": PROGRAMS}, cwd=server.place.parent,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["ram", "throttled_disk", "threads"])
def test_statistics_and_the_end_while_fio_runs(place: Path, name: str) -> None:
    with serving(*SERVED[name], "--json", place=place, code=None) as server:
        with fio(server) as load:
            try:
                server.event("ready")

                def busy() -> bool:
                    server.signal(signal.SIGUSR1)
                    figures = server.event("statistics")
                    return figures["requests"]["write"] > 100 and figures["in_flight"] > 0

                server.until(busy)
                assert server.end() == 0
                load.communicate(timeout=60)
            finally:
                load.kill()
        last = server.event("statistics")
        assert (last["in_flight"], last["errors"], last["connections"]) == (0, 0, 0)
        assert last["requests"]["read"] > 0
        assert all(record["outstanding"] == 0 for record in last["pool"])
        assert not place.exists()


# ---- the socket ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "ok"), [("0600", False), ("0666", True)])
def test_others_may_not_connect(mode: str, *, ok: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
        with serving("ram:1MiB", "--socket-mode", mode, place=Path(folder, "s")) as server:
            done = subprocess.run(
                [*nobody, "qemu-io", "-r", "-f", "raw", "-c", "read 0 512", server.uri],
                capture_output=True,
                text=True,
            )
    assert (done.returncode == 0) is ok, done.stderr
    assert ("Permission denied" in done.stderr) is not ok


def test_a_socket_that_a_killed_server_left(place: Path) -> None:
    with serving("ram:1MiB", place=place, code=None) as first:
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert place.exists()
    run("nbdinfo", first.uri, ok=None)
    with serving("ram:2MiB", place=place) as second:
        assert nbdinfo(second.uri)["export-size"] == 2 * MIB
    assert not place.exists()


def test_a_driver_that_is_exchanged_under_qemu(place: Path, tmp_path: Path) -> None:
    driver = tmp_path / "driver.py"
    text = (EXAMPLES / "ram_disk.py").read_text()
    driver.write_text(text)
    with serving(driver, "--reload", "--json", place=place) as server:
        qemu_io(server.uri, "write -P 3 0 4096", "read -P 3 0 4096")
        driver.write_text(text.replace('"64MiB"', '"32MiB"'))
        assert server.event("reload")["ok"] is True
        assert nbdinfo(server.uri)["export-size"] == 32 * MIB
        qemu_io(server.uri, "read -P 0 0 4096")
