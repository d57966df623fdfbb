"""`membuf serve` where its driver changes: the new one is loaded while the old one is served."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import membuf
from tests.serving import Process, serving

DRIVER = """
import pathlib, membuf
from letter import LETTER

def open():
    pathlib.Path("opened-" + LETTER).touch()
    disk = membuf.Disk(
        "letters", size=4096, on_cleanup=lambda _: pathlib.Path("closed-" + LETTER).touch()
    )

    @disk.on_read
    async def read(request):
        request.output_memory().copy_from(LETTER.encode() * request.length)
        request.complete(information=request.length)

    return disk
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A driver, with a module beside it that says which letter it shows."""
    (tmp_path / "driver.py").write_text(DRIVER)
    letter(tmp_path, "a")
    return tmp_path


def letter(folder: Path, text: str) -> None:
    """Have the driver show another letter; as long a file as before, in the same second."""
    write(folder / "letter.py", f"LETTER = {text!r}\n")


def write(path: Path, text: str) -> None:
    """Exchange a file in one step, as editors do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def read(uri: str) -> str:
    """The first letter of a disk."""
    with membuf.open_target(uri) as disk:
        data = bytearray(1)
        disk.read(data, 0)
    return data.decode()


def at(folder: Path, *options: object, name: object = "driver.py", **more: Any) -> Any:
    """A server of the driver."""
    return serving(name, *options, place=folder / "s", cwd=folder, **more)


def becomes(server: Process, text: str) -> None:
    """Wait until clients see a letter; those that are dropped on the way come back."""

    def shows() -> bool:
        try:
            return read(server.uri) == text
        except membuf.TargetError:
            return False

    server.until(shows)


def hang_up(server: Process) -> None:
    """Have the driver loaded anew, and wait until it is: the old one might never answer."""
    server.signal(signal.SIGHUP)
    server.until(lambda: "is loaded anew" in server.err)


@pytest.mark.parametrize("name", ["driver.py", "driver:open"])
def test_a_hang_up_loads_it_anew(folder: Path, name: str) -> None:
    with at(folder, name=name) as server:
        with membuf.open_target(server.uri) as old:
            assert old.read(bytearray(1)) == 1
            letter(folder, "b")
            assert read(server.uri) == "a"
            server.signal(signal.SIGHUP)
            server.until((folder / "closed-a").exists)
            with pytest.raises(membuf.MembufError):
                old.read(bytearray(1))
        assert read(server.uri) == "b"
        assert not (folder / "closed-b").exists()
        assert server.err == f"membuf: {name} is loaded anew; clients are to connect again\n"
    assert (folder / "closed-b").exists()


def test_clients_that_connect_again_go_on_with_the_new_one(folder: Path) -> None:
    with at(folder) as server, membuf.open_target(server.uri, reconnect=30.0) as disk:
        for one in "abcde":
            letter(folder, one)
            server.signal(signal.SIGHUP)
            server.until((folder / f"opened-{one}").exists)
            data = bytearray(1)

            def shows(one: str = one, data: bytearray = data) -> bool:
                disk.read(data, 0)
                return data.decode() == one

            server.until(shows)
        server.until(lambda: len(list(folder.glob("closed-*"))) == 4)


def test_changes_are_noticed(folder: Path) -> None:
    with at(folder, "--reload", "--json") as server:
        assert read(server.uri) == "a"
        letter(folder, "b")
        becomes(server, "b")
        write(folder / "driver.py", DRIVER.replace("LETTER.encode()", "b'c'"))
        becomes(server, "c")
        letter(folder, "d")
        server.until((folder / "closed-b").exists)
        server.until((folder / "opened-d").exists)
        assert [one["ok"] for one in server.events if one["event"] == "reload"][:2] == [True] * 2


def test_without_being_told_to_watch_nothing_is(folder: Path) -> None:
    with at(folder) as server:
        letter(folder, "b")
        server.signal(signal.SIGUSR1)
        server.until(lambda: "statistics" in server.err)
        assert read(server.uri) == "a"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("driver.py", "def open(:", "driver.py:1: SyntaxError: "),
        ("driver.py", "1 / 0", "driver.py:1: ZeroDivisionError: division by zero"),
        ("driver.py", "\ndef open():\n    raise ValueError('no disk')", "driver.py: no disk"),
        ("driver.py", "x = 1", "there is no device in driver.py"),
        ("driver.py", "def open(size): pass", "driver.py needs more settings: --set size=..."),
        ("driver.py", "import membuf\ndevice = membuf.Device()", "cannot be served"),
        ("letter.py", "LETTER = (", "letter.py:1: SyntaxError: '(' was never closed"),
        ("letter.py", "LETTRE = 1", "cannot import name 'LETTER'"),
    ],
)
def test_what_cannot_be_loaded_leaves_the_old_one(
    folder: Path, file: str, text: str, said: str
) -> None:
    good = (folder / file).read_text()
    with at(folder, "--reload") as server, membuf.open_target(server.uri) as old:
        write(folder / file, text)
        server.until(lambda: said in server.err)
        assert "error: not loaded anew, the old one is served on: " in server.err
        data = bytearray(1)
        assert old.read(data, 0) == 1
        assert (data, read(server.uri)) == (b"a", "a")
        assert not (folder / "closed-a").exists()
        write(folder / file, good.replace("LETTER = 'a'", "LETTER = 'b'"))
        server.until(lambda: "driver.py is loaded anew" in server.err)
        server.until((folder / "closed-a").exists)
        assert read(server.uri) == ("b" if file == "letter.py" else "a")


def test_a_new_module_that_is_wrong_and_then_mended(folder: Path) -> None:
    with at(folder, "--reload") as server:
        (folder / "extra.py").write_text("LETTER = ")
        write(folder / "driver.py", DRIVER.replace("from letter", "from extra"))
        server.until(lambda: "extra.py:1: SyntaxError" in server.err)
        write(folder / "extra.py", "LETTER = 'x'")
        becomes(server, "x")


def test_a_driver_that_is_gone_for_a_while(folder: Path) -> None:
    with at(folder, "--reload") as server:
        (folder / "driver.py").unlink()
        server.signal(signal.SIGHUP)
        server.until(lambda: "cannot open driver.py: No such file or directory" in server.err)
        assert read(server.uri) == "a"
        (folder / "driver.py").write_text(DRIVER.replace("LETTER.encode()", "b'z'"))
        becomes(server, "z")


SLOW = """
import asyncio, pathlib, membuf
here = pathlib.Path(__file__).parent

def open():
    disk = membuf.Disk(size=4096, on_cleanup=lambda _: (here / "closed").touch())

    @disk.on_read
    async def read(request):
        (here / "begun").touch()
        while not (here / "go").exists():
            await asyncio.sleep(0.01)
        request.output_memory().copy_from(b"o" * request.length)
        request.complete(information=request.length)

    return disk
"""


def test_requests_on_their_way_are_finished_by_the_old_one(folder: Path) -> None:
    write(folder / "driver.py", SLOW)
    found: list[str] = []
    with at(folder) as server:
        client = threading.Thread(target=lambda: found.append(read(server.uri)))
        client.start()
        server.until((folder / "begun").exists)
        write(folder / "driver.py", DRIVER)
        hang_up(server)
        assert read(server.uri) == "a"
        assert not (folder / "closed").exists()
        (folder / "go").touch()
        client.join()
        assert found == ["o"]
        server.until((folder / "closed").exists)


def test_the_old_one_is_closed_at_the_end_though_a_request_never_ends(folder: Path) -> None:
    write(folder / "driver.py", SLOW)
    with at(folder, "--drain", 0.2, code=None) as server:

        def ask() -> None:
            with pytest.raises(membuf.MembufError):
                read(server.uri)

        client = threading.Thread(target=ask)
        client.start()
        server.until((folder / "begun").exists)
        write(folder / "driver.py", DRIVER)
        hang_up(server)
        assert read(server.uri) == "a"
        assert server.end() == 1
        client.join()
    assert (folder / "closed-a").exists()


def test_a_target_is_opened_anew(folder: Path) -> None:
    (folder / "disk.img").write_bytes(b"12")
    with at(folder, name="file:disk.img") as server:
        with (folder / "disk.img").open("ab") as file:
            file.write(bytes(4094))
        server.signal(signal.SIGHUP)

        def size() -> int:
            with membuf.open_target(server.uri) as disk:
                return int(disk.size)

        server.until(lambda: size() == 4096)
        (folder / "disk.img").rename(folder / "away")
        server.signal(signal.SIGHUP)
        server.until(lambda: "cannot open file:disk.img: No such file" in server.err)
        assert size() == 4096


def test_a_hang_up_that_is_ignored_stays_so(folder: Path) -> None:
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    with at(folder, preexec_fn=ignore) as server:
        letter(folder, "b")
        server.signal(signal.SIGHUP)
        assert read(server.uri) == "a"


def test_many_hang_ups_at_once(folder: Path) -> None:
    with at(folder) as server:
        for _ in range(20):
            server.signal(signal.SIGHUP)
            os.sched_yield()
        letter(folder, "z")
        server.signal(signal.SIGHUP)
        becomes(server, "z")
