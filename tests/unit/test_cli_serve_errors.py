"""`membuf serve` where it cannot serve: what it says, and its exit code."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli import COMMAND, membuf, without_privileges
from tests.nbd_certificates import make_certificates
from tests.serving import EXAMPLES, serving
from tests.unit.test_cli_serve import DISK, driver

FAILED, USAGE, UNUSABLE = 1, 2, 3
URI = "nbd+unix:///?socket=s"


def refused(code: int, *arguments: object, folder: Path, uri: str = URI) -> str:
    """Run `membuf serve ARGUMENTS`, which must fail with an exit code; what it said."""
    done = membuf(
        "serve", *arguments, "--nbd", uri, cwd=folder, env=os.environ | {"COLUMNS": "200"}
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not (folder / "s").exists()
    said: str = done.stderr
    return said


# ---- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Missing argument 'DRIVER'"),
        (["ram:1M", "--socket-mode", "rw"], "'rw' are no permissions: write them like 0660"),
        (["ram:1M", "--socket-mode", "1777"], "'1777' are no permissions"),
        (["ram:1M", "--set", "size"], "'size' is no setting: write it like size=1GiB"),
        (["ram:1M", "--set", "=5"], "'=5' is no setting"),
        (["ram:1M", "--threads", "-1"], "--threads"),
        (["ram:1M", "--threads", "many"], "--threads"),
        (["ram:1M", "--max-connections", "0"], "--max-connections"),
        (["ram:1M", "--timeout", "0"], "--timeout"),
        (["ram:1M", "--drain", "-1"], "--drain"),
        (["ram:1M", "--tls", "perhaps"], "perhaps"),
        (["ram:1M", "--tls", "allow"], "TLS needs a folder with server-cert.pem"),
        (["ram:1M", "--tls-certificates", "."], "say nbds in place of nbd, or --tls allow"),
        (["ram:1M", "--tls-verify-clients"], "say nbds in place of nbd, or --tls allow"),
        (["ram:1M", "--reload"], "--reload has nothing to watch: ram:1M is a target's name"),
        (["ram:1M", "--set", "size=1M"], "nothing takes the setting size: ram:1M is a target's"),
        (["ram:lots"], "cannot open ram:lots: ram: takes a size, as in ram:64MiB; got 'lots'"),
        (["delay(colour=red)+ram:1M"], "the filter delay has no option 'colour'"),
        (["nothing+ram:1M"], "there is no filter 'nothing'"),
        (["delay(+ram:1M"], "error: "),
        (["ftp://somewhere"], "'ftp://somewhere' is no driver"),
        (["word"], "hint: a driver is a Python file, module:attribute, or a target's name"),
        (["ram:1M", "--fast"], "--fast"),
    ],
)
def test_wrong_options(tmp_path: Path, options: list[str], said: str) -> None:
    assert said in refused(USAGE, *options, folder=tmp_path)


@pytest.mark.parametrize(
    ("uri", "options", "said"),
    [
        ("http://localhost", [], "the scheme is one of nbd, nbds, nbd+unix, nbds+unix"),
        ("nbd+unix:///", [], "a unix socket is named ?socket=PATH"),
        ("nbd://localhost:99999", [], "--nbd: "),
        ("nbd://localhost:0", [], "a port is 1 to 65535"),
        ("", [], "an NBD URI is written nbd://HOST:PORT/EXPORT"),
        ("nbds+unix:///?socket=s", [], "TLS needs a folder with server-cert.pem"),
        ("nbds+unix:///?socket=s", ["--tls", "off"], "say nbd in place of nbds"),
        ("nbd://localhost", ["--socket-mode", "600"], "has no socket in the file system"),
        ("nbd+unix:///a?socket=s", ["--export", "b"], "names the export 'a' already"),
        ("nbd+unix:///?socket=s", ["--set", "a=1", "--set", "a=2"], "a is set twice"),
    ],
)
def test_wrong_places(tmp_path: Path, uri: str, options: list[str], said: str) -> None:
    assert said in refused(USAGE, "ram:1M", *options, folder=tmp_path, uri=uri)


def test_no_place() -> None:
    done = membuf("serve", "ram:1M")
    assert done.returncode == USAGE
    assert "--nbd" in done.stderr


# ---- drivers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", UNUSABLE, "there is no device in driver.py"),
        ("a = disk(); b = disk()", UNUSABLE, "there are several devices in driver.py: a, b"),
        ("device = 5", UNUSABLE, "`device` of driver.py is 5"),
        ("def open(): return 5", UNUSABLE, "open() of driver.py returned 5"),
        ("def open(): pass", UNUSABLE, "return a membuf.Disk, Device or Target"),
        ("1 / 0", UNUSABLE, "driver.py:13: ZeroDivisionError: division by zero"),
        ("def open(): 1 / 0", UNUSABLE, "driver.py:13: ZeroDivisionError: division by zero"),
        ("def open(): raise ValueError('size\\nis odd')", UNUSABLE, "driver.py: size is odd"),
        ("def open(): __builtins__['open']('x.img')", UNUSABLE, "No such file or directory: x.img"),
        ("def open(): int([])", UNUSABLE, "driver.py:13: TypeError: int() argument must be"),
        ("async def open(): raise KeyError(5)", UNUSABLE, "driver.py:13: KeyError: 5"),
        ("import sys; sys.exit(7)", UNUSABLE, "driver.py:13: SystemExit: 7"),
        ("def open(:", UNUSABLE, "driver.py:13: SyntaxError: "),
        ("import gone", UNUSABLE, "driver.py:13: ModuleNotFoundError: No module named 'gone'"),
        ("import no_such", UNUSABLE, "hint: install no_such for the Python that runs membuf"),
        ("device = disk(-1)", UNUSABLE, "driver.py: size must be a multiple"),
        ("device = membuf.Device('pipe')", UNUSABLE, "it has no length"),
        ("def open(): return membuf.open_target('fd:0')", UNUSABLE, "it has no length"),
    ],
)  # fmt: skip
def test_drivers_that_are_none(tmp_path: Path, text: str, code: int, said: str) -> None:
    driver(tmp_path, DISK + text)
    found = refused(code, "driver.py", folder=tmp_path)
    assert said in found
    assert len(found.splitlines()) <= 2


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        ("def open(size): pass", [], "driver.py needs more settings: --set size=..."),
        ("def open(a, b, c=1): pass", ["b=2"], "needs more settings: --set a=..."),
        ("def open(size='1'): pass", ["colour=red"], "has no setting colour; it has size"),
        ("def open(): pass", ["size=1"], "has no setting size; it has none"),
        ("device = disk()", ["size=1"], "nothing takes the setting size"),
    ],
)
def test_settings_that_do_not_fit(
    tmp_path: Path, text: str, settings: list[str], said: str
) -> None:
    driver(tmp_path, DISK + text)
    options = [word for one in settings for word in ("--set", one)]
    assert said in refused(USAGE, "driver.py", *options, folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("ram_disk", {"size": "0"}, "size must be above 0"),
        ("ram_disk", {"size": "big"}, "ram_disk.py: "),
        ("throttled_disk", {"latency": "5parsecs"}, "latency is not '5parsecs'"),
        ("encrypted_disk", {"below": "ram:1M", "keyfile": "none"}, "No such file or directory"),
        ("char_device", {}, "it has no length"),
    ],
)
def test_examples_with_wrong_settings(
    tmp_path: Path, name: str, settings: dict[str, str], said: str
) -> None:
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    assert said in refused(UNUSABLE, EXAMPLES / f"{name}.py", *options, folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("missing.py", UNUSABLE, "cannot open missing.py: No such file or directory"),
        ("folder.py", UNUSABLE, "cannot open folder.py: Is a directory"),
        ("disk.img", USAGE, "hint: to serve the file itself, say file:disk.img"),
        ("file:missing", UNUSABLE, "cannot open file:missing: No such file or directory"),
        ("file:folder.py", UNUSABLE, "Is a directory"),
        ("device:nobody", UNUSABLE, "there is no such device"),
        ("nbd+unix:///?socket=none", UNUSABLE, "cannot connect to the NBD server: No such file"),
        ("no_such:device", UNUSABLE, "there is no module 'no_such'"),
        ("no.such:device", UNUSABLE, "there is no module 'no'"),
        ("good:missing", UNUSABLE, "the module good has no 'missing'"),
        ("good:five", UNUSABLE, "error: good:five is 5"),
        ("wrong:device", UNUSABLE, "wrong.py:1: ModuleNotFoundError: No module named 'gone'"),
    ],
)
def test_what_is_not_there(tmp_path: Path, name: str, code: int, said: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "disk.img").write_bytes(bytes(512))
    driver(tmp_path, "five = 5", "good.py")
    driver(tmp_path, "import gone", "wrong.py")
    assert said in refused(code, name, folder=tmp_path)


def test_a_driver_that_may_not_be_read(tmp_path: Path) -> None:
    driver(tmp_path, DISK).chmod(0)
    (tmp_path / "disk.img").write_bytes(bytes(512))
    (tmp_path / "disk.img").chmod(0o444)
    for name, hint in (("driver.py", ""), ("file:disk.img", "say --read-only")):
        command = without_privileges(*COMMAND, "serve", name, "--nbd", URI)
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == UNUSABLE
        assert "Permission denied" in done.stderr
        assert hint in done.stderr


# ---- places --------------------------------------------------------------------------------------


def test_somebody_listens_there(tmp_path: Path) -> None:
    with serving("ram:1MiB", place=tmp_path / "s"):
        done = membuf("serve", "ram:1M", "--nbd", URI, cwd=tmp_path)
        assert done.returncode == UNUSABLE
        assert "cannot listen for nbd+unix:///?socket=s: Address already in use" in done.stderr
        assert "hint: another server listens there: end it, or choose another place" in done.stderr
        assert (tmp_path / "s").exists()


def test_somebody_listens_at_the_port() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        uri = f"nbd://127.0.0.1:{other.getsockname()[1]}"
        done = membuf("serve", "ram:1M", "--nbd", uri)
    assert done.returncode == UNUSABLE
    assert "Address already in use" in done.stderr


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("nbd+unix:///?socket=no/s", "No such file or directory"),
        ("nbd+unix:///?socket=" + "long" * 40, "error: "),
        ("nbd+unix:///?socket=file", "Address already in use"),
        ("nbd://host.invalid", "there is no such host"),
        ("nbd://192.0.2.1", "Cannot assign requested address"),
    ],
)
def test_places_where_nobody_can_listen(tmp_path: Path, uri: str, said: str) -> None:
    (tmp_path / "file").write_text("precious")
    assert said in refused(UNUSABLE, "ram:1M", folder=tmp_path, uri=uri)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_folder_where_nothing_may_be_made(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o555)
    command = without_privileges(
        *COMMAND, "serve", "ram:1M", "--nbd", "nbd+unix:///?socket=folder/s"
    )
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == UNUSABLE
    assert "Permission denied" in done.stderr
    assert "hint: choose a place where you may listen" in done.stderr


@pytest.mark.parametrize("missing", ["server-cert.pem", "server-key.pem", "ca-cert.pem"])
def test_certificates_that_are_missing(tmp_path: Path, missing: str) -> None:
    folder = make_certificates(tmp_path / "pki")
    (folder / missing).unlink()
    options = ["--tls-certificates", "pki", "--tls-verify-clients"]
    said = refused(UNUSABLE, "ram:1M", *options, folder=tmp_path, uri="nbds+unix:///?socket=s")
    assert f"needs {missing} in the folder of its certificates: No such file" in said


def test_certificates_that_are_none(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "pki")
    (folder / "server-cert.pem").write_text("paper")
    uri = "nbds+unix:///?socket=s&tls-certificates=pki"
    assert "expected a certificate and its key" in refused(
        UNUSABLE, "ram:1M", folder=tmp_path, uri=uri
    )


# ---- for programs, and for who wants to know more ------------------------------------------------


def test_failures_for_programs(tmp_path: Path) -> None:
    import json

    done = membuf("serve", "file:missing", "--json", "--nbd", URI, cwd=tmp_path)
    assert done.returncode == UNUSABLE
    assert json.loads(done.stdout) == {
        "event": "error",
        "error": "cannot open file:missing: No such file or directory",
        "hint": "",
        "exit_code": UNUSABLE,
    }
    assert done.stderr == "membuf: error: cannot open file:missing: No such file or directory\n"


def test_failures_with_their_traceback(tmp_path: Path) -> None:
    driver(tmp_path, "def open():\n    return {}['size']")
    done = membuf("serve", "driver.py", "--verbose", "--nbd", URI, cwd=tmp_path)
    assert done.returncode == UNUSABLE
    assert done.stderr.splitlines()[-1] == "membuf: error: driver.py:2: KeyError: 'size'"
    assert "return {}['size']" in done.stderr
