"""What `membuf copy` shows: the result, the progress, the errors; on terminals and in pipes."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from membuf.cli import progress
from membuf.cli.progress import Phase, PlainProgress, TerminalProgress
from tests.cli import COMMAND, MIB, copied, make_data, make_sparse, membuf

ESCAPE = "\x1b"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Three MiB of data and one of nothing."""
    make_sparse(tmp_path / "src", 4 * MIB, {0: b"x" * 3 * MIB})
    return tmp_path / "src"


def on_terminal(columns: int, *arguments: object, **options: Any) -> tuple[int, str]:
    """Run `membuf ARGUMENTS` on a terminal; its exit code and what the terminal was sent."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color"}
    for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE"):
        environment.pop(name, None)
    command = [*COMMAND, *map(str, arguments)]
    options = {"stdin": subprocess.DEVNULL} | options
    with subprocess.Popen(command, stdout=end, stderr=end, env=environment, **options) as run:
        os.close(end)
        sent = b""
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            sent += part
    os.close(terminal)
    return run.returncode, sent.decode()


def without_escapes(text: str) -> str:
    """The text without colours and cursor movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


# ---- the result ---------------------------------------------------------------------------------


def test_the_result_as_one_object(src: Path, tmp_path: Path) -> None:
    result = copied(src, tmp_path / "dst", "-b", "64KiB", "-q", "2", "--direct", "--verify")
    pool = result.pop("pool")
    seconds = result.pop("seconds")
    rate = result.pop("bytes_per_second")
    assert 0 < seconds < 60
    assert rate == pytest.approx(3 * MIB / seconds, rel=0.01)
    engine = result.pop("engine")
    assert set(engine) == {"source", "destination"}
    assert set(engine.values()) <= {"io_uring", "threads"}
    assert result == {
        "ok": True,
        "source": str(src),
        "destination": str(tmp_path / "dst"),
        "bytes": 4 * MIB,
        "bytes_written": 3 * MIB,
        "hole_bytes": MIB,
        "durable": True,
        "verified": True,
        "direct": True,
        "block_size": 65536,
        "queue_depth": 2,
    }
    (tag,) = pool.pop("tags")
    peak = tag.pop("peak_bytes")
    assert 0 < peak <= 2 * 256 * 1024
    assert pool["peak_bytes"] >= peak
    assert pool["outstanding"] == 0
    hits = tag.pop("hits")
    # Each block was carried twice: from the source, and back for the checksum.
    assert tag == {"tag": "Copy", "pool": "nonpaged", "allocations": 96, "outstanding": 0}
    assert 48 <= hits < 96


def test_a_failure_as_one_object(tmp_path: Path) -> None:
    done = membuf("copy", "--json", tmp_path / "nothing", tmp_path / "dst")
    assert json.loads(done.stdout) == {
        "ok": False,
        "source": str(tmp_path / "nothing"),
        "destination": str(tmp_path / "dst"),
        "error": f"cannot open {tmp_path / 'nothing'}: No such file or directory",
        "offset": None,
        "errno": 2,
        "exit_code": 3,
    }


def test_the_engine_that_was_asked_for(src: Path, tmp_path: Path) -> None:
    result = copied(src, tmp_path / "dst", "--engine", "threads")
    assert result["engine"] == {"source": "threads", "destination": "threads"}


def test_the_result_as_plain_lines(src: Path, tmp_path: Path) -> None:
    done = membuf("copy", src, tmp_path / "dst")
    assert ESCAPE not in done.stdout + done.stderr
    head, table = done.stdout.split("\n\n")
    first, moved, safe, how = head.splitlines()
    assert first == f"copied {src} to {tmp_path / 'dst'}"
    pattern = r"  4\.0 MiB \(3\.0 MiB of data, 1\.0 MiB of holes\) in \d\.\d+ s, [\d.]+ [KMG]iB/s"
    assert re.fullmatch(pattern, moved)
    assert safe == "  durable"
    assert how.startswith("  buffered, 4 x 1.0 MiB, ")
    names, row = table.splitlines()
    assert names.split("  ")[-1] == "outstanding"
    assert row.split()[:3] == ["Copy", "non-paged", "3"]
    assert row.split()[-1] == "0"
    assert len(names) == len(row)


def test_nothing_but_the_result_on_standard_output(src: Path, tmp_path: Path) -> None:
    done = membuf("copy", "--json", src, tmp_path / "dst")
    assert json.loads(done.stdout)["ok"] is True
    assert "copying: 3.0 MiB of 3.0 MiB (100 %)" in done.stderr


def test_quiet_shows_no_progress(src: Path, tmp_path: Path) -> None:
    assert not membuf("copy", "--quiet", src, tmp_path / "dst").stderr


def test_the_result_goes_to_standard_error_if_the_copy_takes_standard_output(src: Path) -> None:
    done = membuf("copy", "--json", "--quiet", src, "-", text=False)
    assert done.stdout == src.read_bytes()
    assert json.loads(done.stderr)["destination"] == "-"


def test_the_version() -> None:
    assert re.fullmatch(r"membuf \d+\.\d+\.\d+\S*\n", membuf("--version").stdout)


def test_help_has_every_option_an_example_and_the_exit_codes() -> None:
    said = membuf("copy", "--help").stdout
    for word in (
        "--block-size", "--queue-depth", "--direct", "--sparse", "--verify", "--json", "--engine",
        "--quiet", "Examples:", "membuf copy disk.img backup.img", "Exit codes:", "141",
    ):  # fmt: skip
        assert word in said
    assert max(map(len, said.splitlines())) <= 80
    assert "copy" in membuf("--help").stdout
    assert "copy" in membuf().stdout + membuf().stderr


# ---- on a terminal ------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 200])
def test_the_result_on_a_terminal(src: Path, tmp_path: Path, columns: int) -> None:
    code, sent = on_terminal(columns, "copy", "src", "dst", cwd=tmp_path)
    assert code == 0
    assert f"{ESCAPE}[1;32m" in sent or f"{ESCAPE}[32m" in sent
    lines = without_escapes(sent).splitlines()
    assert "✔ copied src to dst" in lines
    assert max(map(len, lines)) <= columns
    (row,) = (line for line in lines if "non-paged" in line)
    assert row.split()[0] == "Copy"
    assert row.split()[-1] == "0"


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    make_data(tmp_path / "[red]src", 100)
    code, sent = on_terminal(80, "copy", "[red]src", "[b]dst", cwd=tmp_path)
    assert code == 0
    assert "✔ copied [red]src to [b]dst" in without_escapes(sent)


def test_an_error_on_a_terminal_is_red(tmp_path: Path) -> None:
    code, sent = on_terminal(80, "copy", tmp_path / "nothing", "dst")
    assert code == 3
    assert f"{ESCAPE}[31m" in sent
    assert "membuf: error: cannot open" in without_escapes(sent)


def test_a_bar_on_a_terminal_that_goes_away(tmp_path: Path) -> None:
    feed = "head -c 3000000 /dev/zero; sleep 1.5; head -c 2000000 /dev/zero; sleep 0.5"
    with subprocess.Popen(["sh", "-c", feed], stdout=subprocess.PIPE) as source:
        code, sent = on_terminal(80, "copy", "-", tmp_path / "dst", stdin=source.stdout)
    assert code == 0
    assert re.search(r"copying .*2\.0 MiB", without_escapes(sent))
    # The cursor was hidden and is back, and what is left on the screen is the result alone.
    assert sent.count(f"{ESCAPE}[?25l") == sent.count(f"{ESCAPE}[?25h") == 1
    assert without_escapes(sent[sent.index(f"{ESCAPE}[?25h") :]).strip().startswith("✔ copied")


def test_a_bar_is_cleared_away_before_an_error(tmp_path: Path) -> None:
    with subprocess.Popen(["sh", "-c", "cat /dev/zero"], stdout=subprocess.PIPE) as source:
        code, sent = on_terminal(
            80, "copy", "--block-size", "64KiB", "-", tmp_path / "dst", stdin=source.stdout,
            preexec_fn=limit_files_to_a_gigabyte,
        )  # fmt: skip
        source.kill()
    assert code == 5
    assert sent.count(f"{ESCAPE}[?25l") == sent.count(f"{ESCAPE}[?25h")
    assert without_escapes(sent).strip().splitlines()[-1].startswith("membuf: error: cannot write")


def limit_files_to_a_gigabyte() -> None:
    """Have writes fail once a file is that long."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


# ---- progress -----------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test sets."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_phase_in_words(clock: list[float]) -> None:
    phase = Phase("copying", 4 * MIB)
    clock[0] += 2
    phase.done = MIB
    assert str(phase) == "copying: 1.0 MiB of 4.0 MiB (25 %), 512.0 KiB/s, 0:06 left"
    phase.done = 4 * MIB
    assert str(phase) == "copying: 4.0 MiB of 4.0 MiB (100 %), 2.0 MiB/s"
    unknown = Phase("copying", None)
    assert str(unknown) == "copying"
    clock[0] += 1
    unknown.done = 512
    assert str(unknown) == "copying: 512 B, 512 B/s"


def test_plain_progress_writes_a_line_a_second_and_the_last_one(clock: list[float]) -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as shown:
        shown.begin("copying", 10 * MIB)
        for _ in range(40):
            clock[0] += 0.125
            shown.advance(MIB // 4)
            shown.tick()
        shown.begin("flushing", None)
        clock[0] += 0.1
        shown.begin("verifying", 10 * MIB)
        shown.advance(10 * MIB)
    lines = stream.getvalue().splitlines()
    assert [line.split(" (")[-1].split(" %")[0] for line in lines[:4]] == ["20", "40", "60", "80"]
    assert lines[-1].startswith("membuf: verifying: 10.0 MiB of 10.0 MiB (100 %)")
    assert len(lines) == 6


def test_plain_progress_of_a_failure_claims_nothing(clock: list[float]) -> None:
    stream = io.StringIO()

    def fail() -> None:
        with PlainProgress(stream) as shown:
            shown.begin("copying", 10)
            shown.advance(5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert stream.getvalue() == ""


def test_progress_that_cannot_be_written_is_let_go() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "planted")

    with PlainProgress(Full()) as shown:
        shown.begin("copying", 10)
        shown.advance(10)
    assert shown._shown.startswith("copying: 10 B of 10 B")


def test_what_is_over_at_once_loads_no_bar() -> None:
    with TerminalProgress() as shown:
        shown.begin("copying", 10)
        shown.advance(10)
        shown.tick()
        assert shown._progress is None
        time.sleep(0.35)
        shown.tick()
        assert shown._progress is not None
