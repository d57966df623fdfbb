"""The benchmarks run, and judge their figures as they should; no time is judged here."""

from __future__ import annotations

import io
import json
import math
import mmap
import random
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.__main__ import PAGES
from bench.case import MIB, Group, Row, Settings, label
from bench.groups import MODULES, group
from bench.instructions import HOT_PATHS, NOTHING, RECORDED, grown, native_costs
from bench.nbd import wire
from bench.nbd.server import running
from bench.process import ROOT, measure_groups
from bench.report import markdown, terminal
from bench.report.machine import machine
from bench.report.text import HEADINGS, cells, number, quantity
from bench.result import GroupResult, RowResult, Side, judge
from bench.timing import Way, peak_growth, round_robin, statement

QUICK = Settings.of_quick_run(Path())
SIDE = Side(1.0, None, None)


@pytest.fixture(scope="module")
def document() -> Any:
    """What a quick run of everything prints."""
    command = [sys.executable, "-m", "bench", "--quick", "--json", "-"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_quick_run_measures_every_group(document: Any) -> None:
    assert [found["name"] for found in document["groups"]] == list(MODULES)
    for found in document["groups"]:
        assert len(found["rows"]) == len(group(found["name"]).rows)


@pytest.mark.slow
def test_its_figures_are_sane(document: Any) -> None:
    measured = [row for found in document["groups"] for row in found["rows"] if row["ours"]]
    assert len(measured) > 40
    for row in measured:
        for side in (row["ours"], row["peer"]):
            assert side is None or (math.isfinite(side["value"]) and side["value"] != 0), row
            assert side is None or (side["faults"] or 0) >= 0, row
        assert row["lowest"] <= row["compared"] <= row["highest"]
        if row["peer"] is not None:
            ratio = row["ours"]["value"] / row["peer"]["value"]
            assert row["compared"] == pytest.approx(ratio)


@pytest.mark.slow
def test_what_is_not_measured_has_a_reason(document: Any) -> None:
    for found in document["groups"]:
        for row in found["rows"]:
            assert bool(row["ours"]) != bool(row["why_not"]), row
    memory_alone = {"allocation", "burst", "memory", "copies", "residency", "tree", "imports"}
    for found in document["groups"]:
        if found["name"] in memory_alone:
            assert all(row["ours"] for row in found["rows"]), found["name"]


@pytest.mark.slow
def test_the_curves_have_a_point_for_each_size(document: Any) -> None:
    (curves,) = [found["curves"] for found in document["groups"] if found["curves"]]
    assert {"membuf", "deque", "bytearray", "numpy", "pyarrow"} == set(curves)
    assert all(
        [size for size, _ in points] == [64, 4096, 65536, MIB, 16 * MIB]
        for points in curves.values()
    )


@pytest.mark.slow
def test_a_group_that_does_not_exist_is_refused() -> None:
    command = [sys.executable, "-m", "bench", "--only", "coffee"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "coffee" in done.stderr


@pytest.mark.parametrize(
    ("compared", "better", "verdict"),
    [
        (0.5, "lower", "met goal"),
        (0.6, "lower", "met goal"),
        (0.7, "lower", "met bar"),
        (0.8, "lower", "met bar"),
        (1.0, "lower", "missed by 25%"),
        (0.9, "higher", "met goal"),
        (0.7, "higher", "met goal"),
        (0.4, "higher", "missed by 50%"),
    ],
)
def test_a_ratio_is_judged_by_bar_and_goal(compared: float, better: Any, verdict: str) -> None:
    bar, goal = (0.8, 0.6)
    row = Row("what", "ours", "peer", bar, goal, better=better)
    assert judge(row, [compared], SIDE, SIDE).verdict == verdict


def test_a_row_without_a_bar_is_there_to_be_read() -> None:
    assert judge(Row("what", "ours", "peer"), [99.0], SIDE, SIDE).verdict == "for comparison"


def test_the_median_of_the_processes_counts() -> None:
    result = judge(Row("what", "ours", "peer", 2, 1), [1.5, 9.0, 1.2], SIDE, SIDE)
    assert (result.compared, result.lowest, result.highest) == (1.5, 1.2, 9.0)


def test_a_group_that_cannot_be_measured_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (Row("what", "ours", "peer", 2, 1),)
    absent = Group("Absent", rows, lambda _: {}, missing=lambda _: "no such device")
    monkeypatch.setattr("bench.process.group", lambda _: absent)
    (result,) = measure_groups(["absent"], QUICK, lambda _: None)
    assert result.rows[0].verdict == "not measured: no such device"
    assert result.rows[0].compared is None


def test_a_statement_is_counted_as_often_as_it_runs() -> None:
    ran: list[int] = []
    way = statement("append", "ran.append(1)", QUICK, ran=ran)
    before = len(ran)
    way.run()
    assert len(ran) - before == way.operations > 0


def test_every_way_is_timed_as_often_as_the_others() -> None:
    turns: list[str] = []
    ways = [Way(name, lambda name=name: turns.append(name), 1) for name in "abc"]  # type: ignore[misc]
    figures = round_robin(ways, rounds=6)
    assert {name: turns.count(name) for name in "abc"} == {"a": 7, "b": 7, "c": 7}
    assert all(figure.value > 0 for figure in figures.values())
    assert turns[3:6] != turns[6:9]


def test_faults_and_peak_memory_are_seen() -> None:
    size = 8 * MIB

    def fill() -> None:
        with mmap.mmap(-1, size) as memory:
            memory.write(b"x" * size)

    seen = size * 9 // 10  # the system counts resident pages a little late
    assert peak_growth(fill) >= seen
    figure = round_robin([Way("fill", fill, 1)], rounds=3)["fill"]
    assert figure.faults is not None
    assert figure.faults >= 1
    assert figure.peak is not None
    assert figure.peak >= seen


class Client:
    """Speaks NBD, a request at a time."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        self.send, self.receive = connection.sendall, connection.makefile("rb").read

    def option(self, number: int, data: bytes) -> list[bytes]:
        """What the answers to an option of the handshake carry, up to the acknowledgement."""
        self.send(struct.pack(">8sII", b"IHAVEOPT", number, len(data)) + data)
        answers = []
        while True:
            _, answered, kind, length = struct.unpack(">QIII", self.receive(20))
            assert answered == number
            answers.append(self.receive(length))
            if kind != 3:
                return answers

    def ask(self, kind: int, offset: int, length: int, data: bytes = b"") -> bytes:
        """What comes back for a request, after the head of the reply."""
        self.send(wire.REQUEST.pack(0x25609513, 0, kind, 77, offset, length) + data)
        head = wire.REPLY.unpack(self.receive(wire.REPLY.size))
        assert head == (wire.REPLY_MAGIC, 0, 77)
        return self.receive(length if kind == wire.READ else 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["protocol", "threads"])
def test_the_plain_servers_keep_what_was_written(kind: str) -> None:
    command = [sys.executable, "-m", f"bench.nbd.{kind}_server", "{socket}", str(MIB)]
    with running({kind: command}) as servers, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(servers[kind].path))
        client = Client(connection)
        assert client.receive(18) == b"NBDMAGICIHAVEOPT" + bytes([0, 3])
        client.send(struct.pack(">I", 3))
        assert client.option(99, b"what?") == [b""]
        assert client.option(7, bytes(6)) == [struct.pack(">HQH", 0, MIB, 5), b""]
        for offset, length in ((0, 4096), (5, 3), (MIB - 700_000, 700_000)):
            data = random.Random(length).randbytes(length)
            client.ask(wire.WRITE, offset, length, data)
            client.ask(wire.FLUSH, 0, 0)
            assert client.ask(wire.READ, offset, length) == data
        assert servers[kind].cpu_ns() > 0
        client.send(wire.REQUEST.pack(0x25609513, 0, wire.DISCONNECT, 0, 0, 0))
        assert client.receive(1) == b""


def test_a_server_that_does_not_start_says_why() -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no disk')"]
    with pytest.raises(RuntimeError, match="no disk"), running({"failing": failing}):
        pass


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_has_a_place_for_the_table(page: Path) -> None:
    text = page.read_text()
    assert text.index(markdown.BEGIN) < text.index(markdown.END)


def test_the_table_replaces_what_stands_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{markdown.BEGIN}\nold\n{markdown.END}\nafter\n")
    markdown.put_between_markers(readme, "new\n")
    assert readme.read_text() == f"before\n{markdown.BEGIN}\nnew\n{markdown.END}\nafter\n"


@pytest.mark.parametrize("text", ["", markdown.BEGIN, markdown.END + markdown.BEGIN])
def test_a_file_without_the_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ValueError, match="expected"):
        markdown.put_between_markers(readme, "new\n")
    assert readme.read_text() == text


def planted_results() -> list[GroupResult]:
    """A row with figures, one that was not measured, one without a bar."""
    ours, peer = Side(30.0, 0.0, 0), Side(20.0, 0.5, MIB)
    taking = judge(Row("take", "ours", "deque, 64 B", 2, 1.4), [1.5], ours, peer)
    absent = RowResult(Row("read", "ours", "fio", 1, 2), why_not="no fio")
    read_only = judge(Row("look", "ours", "list"), [9.0], ours, peer)
    return [GroupResult("g", "A group", [taking, absent, read_only])]


def test_the_whole_table_has_every_row_and_column() -> None:
    here = machine()
    text = markdown.table(planted_results(), here, brief=False)
    assert here.processor in text
    line = (
        "| take | deque | 30 ns | 20 ns | 1.5 | ≤ 2 | ≤ 1.4 | met bar | 0 : 0.5 | 0 KiB : 1 MiB |"
    )
    assert line in text
    assert "not measured: no fio" in text
    assert "| look |" in text
    assert all(len(cells(row)) == len(HEADINGS) for row in planted_results()[0].rows)


def test_a_figure_that_stands_alone_is_judged_in_its_unit() -> None:
    alone = judge(Row("cpu", "ours", None, 7000, 500), [4660.0], Side(4660.0, None, None), None)
    shown = dict(zip(HEADINGS, cells(alone), strict=True))
    assert (shown["membuf"], shown["bar"], shown["goal"]) == ("4.66 µs", "≤ 7 µs", "≤ 500 ns")


@pytest.mark.parametrize(("width", "wanted"), [(79, "narrow"), (160, "wide")])
def test_the_terminals_table_fits_it(width: int, wanted: str) -> None:
    output = io.StringIO()
    terminal.show(Console(file=output, width=width), planted_results(), machine(), "head")
    text = output.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert ("peak" in text) == (wanted == "wide")
    assert all(heading in text for heading in terminal.NARROW)


def test_the_brief_table_has_what_was_promised() -> None:
    text = markdown.table(planted_results(), machine(), brief=True)
    assert "| take | deque | 1.5 | ≤ 2 | ≤ 1.4 | met bar |" in text
    assert "| look |" not in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (20.0, "ns", "20 ns"),
        (2150.0, "ns", "2.15 µs"),
        (12_300_000.0, "ns", "12.3 ms"),
        (184.0, "B", "184 B"),
        (61_500.0, "/s", "61 500 /s"),
    ],
)
def test_figures_are_written_with_their_unit(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_numbers_and_sizes_are_short() -> None:
    assert [number(value) for value in (0.004567, 1.0, 1234.5)] == ["0.00457", "1", "1 234"]
    assert [label(size) for size in (64, 4096, 1 << 20, 1000)] == [
        "64 B",
        "4 KiB",
        "1 MiB",
        "1000 B",
    ]


PROFILE = """\
events: Ir
ob=(1) /lib/ld.so
fn=(1) start
0 1000
ob=(2) /x/site-packages/membuf/_native.cpython-311-x86_64-linux-gnu.so
fn=(2) take
0 70
+1 30
cob=(3) /lib/libpython.so
cfn=(3) PyObject_Init
calls=10 0
* 500
+2 8
fn=(4) give
0 20
ob=(3)
fn=(3)
0 500
ob=(2)
fn=(2)
0 5
"""


def test_instructions_are_counted_where_they_are_spent() -> None:
    assert native_costs(PROFILE.splitlines()) == {"take": 113, "give": 20}


def test_a_planted_regression_is_reported() -> None:
    recorded = {"pair": 300, "copy": 100, "drop": 200}
    assert list(grown(recorded, {"pair": 305, "copy": 100, "drop": 150})) == []
    (finding,) = grown(recorded, {"pair": 330, "copy": 100})
    assert "pair" in finding
    assert "+10.0%" in finding
    (finding,) = grown(recorded, {"new": 1})
    assert "none recorded" in finding


def test_every_hot_path_has_a_recorded_count() -> None:
    recorded = json.loads(RECORDED.read_text())["instructions"]
    assert set(recorded) == set(HOT_PATHS) - {NOTHING}
    assert all(count > 0 for count in recorded.values())


def test_groups_that_were_measured_again_replace_their_rows_only() -> None:
    old = "then\n\n| what |\n| --- |\n| **A** |\n| a1 |\n| a2 |\n| **B** |\n| b1 |\n"
    new = "now\n\n| what |\n| --- |\n| **B** |\n| b2 |\n| **C** |\n| c1 |\n"
    rows = ("what", "---", "**A**", "a1", "a2", "**B**", "b2", "**C**", "c1")
    assert markdown.merged(old, new) == "now\n\n" + "".join(f"| {row} |\n" for row in rows)
    assert markdown.merged("", new) == new
