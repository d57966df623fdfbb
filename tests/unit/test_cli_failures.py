"""`membuf copy` where it must fail: what it says, its exit code, and what it leaves behind."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import (
    COMMAND,
    MIB,
    make_data,
    make_sparse,
    membuf,
    patched,
    refused,
    start,
    without_privileges,
)

FAILED, USAGE, UNUSABLE, CHANGED, FULL, DIFFERENT, BROKEN_PIPE = 1, 2, 3, 4, 5, 6, 141


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Three MiB and a bit."""
    make_data(tmp_path / "src", 3 * MIB + 5)
    return tmp_path / "src"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A destination that must not be harmed."""
    (tmp_path / "dst").write_bytes(b"precious")
    return tmp_path / "dst"


def left_in(folder: Path) -> list[str]:
    """The names in a directory."""
    return sorted(path.name for path in folder.iterdir())


# ---- what cannot be opened ----------------------------------------------------------------------


def test_a_missing_source(tmp_path: Path) -> None:
    said = refused(UNUSABLE, "nothing", "dst", cwd=tmp_path)
    assert said == "membuf: error: cannot open nothing: No such file or directory\n"
    assert left_in(tmp_path) == []


def test_a_missing_directory(src: Path, tmp_path: Path) -> None:
    said = refused(UNUSABLE, src, "no/dst", cwd=tmp_path)
    assert "cannot create no/dst: No such file or directory" in said


def test_a_directory_as_source(tmp_path: Path) -> None:
    assert "Is a directory" in refused(UNUSABLE, tmp_path, tmp_path / "dst")
    assert left_in(tmp_path) == []


def test_a_directory_as_destination(src: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    said = refused(UNUSABLE, src, "folder", cwd=tmp_path)
    assert "folder is a directory" in said
    assert "hint: name the file: folder/src" in said
    assert "Is a directory" in refused(UNUSABLE, src, "new/", cwd=tmp_path)


@pytest.mark.parametrize("way", ["the name", "a hard link", "a symbolic link"])
def test_the_source_as_destination(src: Path, tmp_path: Path, way: str) -> None:
    data = src.read_bytes()
    if way == "a hard link":
        os.link(src, tmp_path / "dst")
    elif way == "a symbolic link":
        (tmp_path / "dst").symlink_to("src")
    said = refused(UNUSABLE, src, src if way == "the name" else tmp_path / "dst")
    assert "are the same file" in said
    assert src.read_bytes() == data


def test_the_source_as_standard_output(src: Path) -> None:
    with src.open("ab") as file:
        assert "same file" in refused(UNUSABLE, src, "-", stdout=file)


def test_a_source_that_may_not_be_read(src: Path, tmp_path: Path) -> None:
    src.chmod(0)
    command = without_privileges(*COMMAND, "copy", str(src), str(tmp_path / "dst"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == UNUSABLE
    assert f"cannot open {src}: Permission denied" in done.stderr
    assert left_in(tmp_path) == ["src"]


def test_a_destination_that_may_not_be_written(src: Path, precious: Path) -> None:
    precious.chmod(0o444)
    command = without_privileges(*COMMAND, "copy", str(src), str(precious))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == UNUSABLE
    assert f"cannot create {precious}: Permission denied" in done.stderr
    assert precious.read_bytes() == b"precious"


def test_a_directory_that_takes_no_file(src: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    (src.parent / "src").chmod(0o644)
    command = without_privileges(*COMMAND, "copy", str(src), str(folder / "dst"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == UNUSABLE
    assert f"cannot create {folder / 'dst'}: Permission denied" in done.stderr
    assert left_in(folder) == []


def test_direct_io_where_there_is_none(tmp_path: Path) -> None:
    said = refused(UNUSABLE, "/proc/version", tmp_path / "dst", "--direct")
    assert "cannot open /proc/version" in said
    assert "direct" in said


def test_a_standard_stream_that_is_closed(src: Path, tmp_path: Path) -> None:
    for arguments, said in (
        (f"copy {src} - >&-", "standard output is not open for writing"),
        (f"copy - {tmp_path / 'dst'} <&-", "cannot read standard input"),
    ):
        command = f"{' '.join(COMMAND)} {arguments}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        assert done.returncode in (FAILED, UNUSABLE)
        assert said in done.stderr
    assert left_in(tmp_path) == ["src"]


# ---- what the command line cannot mean ----------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "SRC"),
        (["src"], "DST"),
        (["src", "dst", "third"], "third"),
        (["src", "dst", "-b", "fast"], "'fast' is not a size"),
        (["src", "dst", "-b", "0"], "a block has 512 bytes to 1 GiB"),
        (["src", "dst", "-b", "2G"], "a block has 512 bytes to 1 GiB"),
        (["src", "dst", "-b", "1.5"], "whole number of bytes"),
        (["src", "dst", "-q", "0"], "--queue-depth"),
        (["src", "dst", "-q", "two"], "--queue-depth"),
        (["src", "dst", "--engine", "steam"], "steam"),
        (["src", "dst", "--fast"], "--fast"),
        (["src", "-", "--verify"], "--verify cannot read it back"),
        (["src", "-", "--sparse"], "--sparse cannot make holes in it"),
        (["src", "dst", "--direct", "-b", "1000"], "--direct needs a block size in multiples of"),
    ],
)
def test_a_wrong_command_line(src: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in refused(USAGE, *arguments, cwd=tmp_path)
    assert left_in(tmp_path) == ["src"]


# ---- what goes wrong on the way -----------------------------------------------------------------


def test_a_full_device(src: Path) -> None:
    said = refused(FULL, src, "/dev/full")
    assert "cannot write /dev/full at offset 0: No space left on device" in said


@pytest.mark.parametrize("how", [(), ("-b", "4KiB"), ("--engine", "threads")])
def test_a_full_file_system(src: Path, tmp_path: Path, how: tuple[str, ...]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=2M none {disk} && echo precious > {disk}/dst && "
        f"{' '.join(COMMAND)} copy --json --quiet {src} {disk}/dst {' '.join(how)}; "
        f"echo $?; cat {disk}/dst; ls -A {disk}"
    )
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-rm"]
    done = subprocess.run([*namespace, "sh", "-c", script], capture_output=True, text=True)
    answer, end, rest = done.stdout.partition("\n}\n")
    assert end, done.stderr
    failure = json.loads(answer + end)
    assert rest.split() == ["5", "precious", "dst"]
    assert failure["ok"] is False
    assert (failure["exit_code"], failure["errno"]) == (FULL, errno.ENOSPC)
    # Not the last of what fitted: a write that was slow to start may be far behind the others.
    assert 0 <= failure["offset"] < 2 * MIB
    assert f"at offset {failure['offset']}: No space left on device" in failure["error"]


def test_a_limit_on_the_size_of_files(src: Path, precious: Path) -> None:
    said = refused(
        FULL, src, precious,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB)),
    )  # fmt: skip
    assert f"cannot write {precious} at offset {MIB}: File too large" in said
    assert precious.read_bytes() == b"precious"
    assert left_in(precious.parent) == ["dst", "src"]


@pytest.mark.parametrize("shrinks", [True, False])
def test_a_source_whose_length_changes(tmp_path: Path, *, shrinks: bool) -> None:
    make_data(tmp_path / "src", 32 * MIB)
    with start("copy", tmp_path / "src", "-", stdout=subprocess.PIPE) as copy:
        assert copy.stdout
        assert copy.stderr
        copy.stdout.read(1)
        os.truncate(tmp_path / "src", 20 * MIB if shrinks else 33 * MIB)
        written = 1 + len(copy.stdout.read())
        said = copy.stderr.read().decode()
    assert copy.returncode == CHANGED
    if shrinks:
        assert f"ends at offset {20 * MIB}, not at {32 * MIB}: it became shorter" in said
        assert written <= 20 * MIB
    else:
        assert f"grew from {32 * MIB} to {33 * MIB} bytes while it was copied" in said


def test_a_source_that_shrinks_inside_a_hole(precious: Path, tmp_path: Path) -> None:
    make_sparse(tmp_path / "src", 8 * MIB, {0: b"x"})
    shrink = f"""
import os
from membuf.cli.copying.writer import PlacedWriter
PlacedWriter.finish = lambda self: os.truncate({str(tmp_path / "src")!r}, {4 * MIB})
"""
    done = patched(shrink, "copy", tmp_path / "src", precious)
    assert done.returncode == CHANGED
    assert f"ends at offset {4 * MIB}, not at {8 * MIB}" in done.stderr
    assert precious.read_bytes() == b"precious"


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    make_data(tmp_path / "src", 32 * MIB)
    with start("copy", tmp_path / "src", "-", stdout=subprocess.PIPE) as copy:
        assert copy.stdout
        assert copy.stderr
        copy.stdout.read(MIB)
        copy.stdout.close()
        said = copy.stderr.read().decode()
    assert copy.returncode == BROKEN_PIPE
    assert "cannot write standard output at offset" in said
    assert "Broken pipe" in said
    offset = int(said.split("at offset ")[1].split(":")[0])
    assert MIB <= offset < 32 * MIB


def test_a_result_that_cannot_be_printed(src: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = membuf("copy", src, tmp_path / "dst", stdout=full)
    assert done.returncode == FAILED
    assert "is complete, but the result could not be printed: No space left" in done.stderr
    assert (tmp_path / "dst").read_bytes() == src.read_bytes()


def test_nobody_who_sees_the_progress(src: Path, tmp_path: Path) -> None:
    command = f"{' '.join(COMMAND)} copy {src} {tmp_path / 'dst'} 2>/dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0
    assert "copied" in done.stdout
    assert (tmp_path / "dst").read_bytes() == src.read_bytes()


def test_memory_that_is_not_there(precious: Path, src: Path) -> None:
    limit = "from membuf.cli.copying import engine\nfrom functools import partial\n"
    limit += "engine.Domain = partial(engine.Domain, limit=(1 << 20) - 1)"
    done = patched(limit, "copy", src, precious)
    assert done.returncode == FAILED
    assert "membuf: error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert precious.read_bytes() == b"precious"


# ---- signals ------------------------------------------------------------------------------------

NO_TMPFILE = """
import errno, os
real_open = os.open
def planted(path, flags, *rest, **options):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    return real_open(path, flags, *rest, **options)
os.open = planted
"""


def half_done(tmp_path: Path, *, named: bool) -> subprocess.Popen[bytes]:
    """A copy of a pipe to dst that has read a MiB or more and waits for the rest."""
    program = (NO_TMPFILE if named else "") + "\nfrom membuf.cli import main\nmain()"
    copy = subprocess.Popen(
        [sys.executable, "-c", program, "copy", "--quiet", "-", str(tmp_path / "dst")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert copy.stdin
    # More than a pipe and the pipeline's first block hold: when this returns, some is written.
    copy.stdin.write(bytes(range(256)) * (6 * MIB // 256))
    copy.stdin.flush()
    return copy


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("named", [False, True])
def test_a_signal_leaves_nothing_behind(
    precious: Path, tmp_path: Path, number: signal.Signals, *, named: bool
) -> None:
    with half_done(tmp_path, named=named) as copy:
        assert any(name.startswith(".membuf-") for name in left_in(tmp_path)) == named
        copy.send_signal(number)
        assert copy.stderr
        said = copy.stderr.read().decode()
    assert copy.returncode == 128 + number
    assert said == f"membuf: error: stopped by {number.name}\n"
    assert precious.read_bytes() == b"precious"
    assert left_in(tmp_path) == ["dst"]


@pytest.mark.parametrize("named", [False, True])
def test_a_kill_leaves_the_destination_alone(
    precious: Path, tmp_path: Path, *, named: bool
) -> None:
    with half_done(tmp_path, named=named) as copy:
        copy.kill()
    assert copy.returncode == -signal.SIGKILL
    assert precious.read_bytes() == b"precious"
    hidden = [name for name in left_in(tmp_path) if name != "dst"]
    assert len(hidden) == named
    assert all(name.startswith(".membuf-") for name in hidden)


def test_a_signal_while_a_named_pipe_has_no_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with start("copy", tmp_path / "fifo", tmp_path / "dst") as copy:
        wait_until_blocked(copy.pid)
        copy.terminate()
    assert copy.returncode == 143
    assert left_in(tmp_path) == ["fifo"]


def test_an_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    program = ignoring + "\nfrom membuf.cli import main\nmain()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "copy", "--quiet", "-", str(tmp_path / "dst")],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
    ) as copy:  # fmt: skip
        assert copy.stdin
        copy.stdin.write(b"x" * 6 * MIB)
        copy.send_signal(signal.SIGHUP)
        copy.stdin.write(b"y")
    assert copy.returncode == 0
    assert (tmp_path / "dst").stat().st_size == 6 * MIB + 1


def wait_until_blocked(pid: int) -> None:
    """Wait until a process sleeps in the system call that opens a pipe."""
    import time

    for _ in range(2000):
        if "wait_for_partner" in Path(f"/proc/{pid}/wchan").read_text():
            return
        time.sleep(0.005)
    raise TimeoutError("it does not wait for the other end of the pipe")
