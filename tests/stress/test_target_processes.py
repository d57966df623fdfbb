"""Targets across fork and at the interpreter's end, with transfers on their way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines import ENGINES
from tests.support import assert_silent, run_python

PRELUDE = """
    import asyncio, gc, os, sys, threading, time, warnings
    import membuf
    from membuf.request import Request
    warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads is what is tested
    engine = sys.argv[1]

    def in_child(work):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0, "the child failed"

    async def read(target, memory, offset=0):
        return await target.read_async(memory, offset)

    def until(condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)
"""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_child_uses_an_inherited_target_in_every_way(tmp_path: Path, engine: str) -> None:
    (tmp_path / "image").write_bytes(b"0123456789" * 100)
    child = run_python(
        PRELUDE
        + """
    target = membuf.open_target(f"file:{sys.argv[2]}", engine=engine)
    memory = membuf.Memory(10)
    def use():
        assert target.read(memory, 0) == 10 and bytes(memory) == b"0123456789"
        assert target.read(memory, 0, timeout=30) == 10
        assert target.read_many([(bytearray(10), 10 * i) for i in range(50)]) == [10] * 50
        assert asyncio.run(read(target, bytearray(10))) == 10
        request = Request(target)
        ended = threading.Event()
        request.format_read(memory, 5)
        request.send(lambda *_: ended.set(), timeout=30)
        assert ended.wait(30) and request.result() == 10
        target.flush()
    use()
    in_child(use)
    use()
    in_child(target.close)
    use()
    """,
        engine,
        str(tmp_path / "image"),
    )
    assert_silent(child)


def test_what_is_in_flight_stays_the_parents(engine: str) -> None:
    child = run_python(
        PRELUDE
        + """
    reading, writing = os.pipe()
    target = membuf.open_target(f"fd:{reading}", engine=engine)
    told = []
    memory = membuf.Memory(10)
    request = Request(target)
    request.format_read(memory)
    request.send(lambda request, target, params, context: told.append(params.information))
    blocked = threading.Thread(target=lambda: told.append(target.read(bytearray(10))))
    blocked.start()
    until(lambda: target.statistics().in_flight == 2)
    def work():
        assert target.statistics().in_flight == 0
        assert target.statistics().engine == engine
        target.close()
        assert told == []
    in_child(work)
    assert target.statistics().in_flight == 2
    os.write(writing, b"0123456789")
    until(lambda: len(told) == 1)
    os.write(writing, b"01234")
    until(lambda: len(told) == 2)
    blocked.join()
    assert sorted(told) == [5, 10], told
    """,
        engine,
    )
    assert_silent(child)


@pytest.mark.parametrize("way", ["request", "daemon", "future", "future first", "parked"])
def test_the_interpreter_ends_quietly_with_transfers_on_their_way(engine: str, way: str) -> None:
    child = run_python(
        PRELUDE
        + """
    reading, writing = os.pipe()
    target = membuf.open_target(f"fd:{reading}", engine=engine)
    way = sys.argv[2]
    if way == "parked":
        target.stop()
    if way == "daemon":
        def read_on():
            try:
                target.read(membuf.Memory(1 << 20))
            except membuf.RequestCancelledError:
                pass
        threading.Thread(target=read_on, daemon=True).start()
        until(lambda: target.statistics().in_flight == 1)
    elif way.startswith("future"):
        loop = asyncio.new_event_loop()
        async def leave():
            return target.read_async(membuf.Memory(1 << 20))
        future = loop.run_until_complete(leave())
        if way == "future first":
            sys.kept = loop  # goes after it, still open
    else:
        request = Request(target)
        request.format_read(membuf.Memory(1 << 20))
        request.send(lambda *_: None)
    """,
        engine,
        way,
        timeout=30,
        environment={"PYTHONWARNINGS": "ignore::ResourceWarning"},
    )
    assert_silent(child)


def test_writes_on_their_way_at_the_end_arrive_whole(tmp_path: Path, engine: str) -> None:
    child = run_python(
        PRELUDE
        + """
    target = membuf.open_target(f"file:{sys.argv[2]}", create=True, engine=engine)
    for i in range(64):
        memory = membuf.Memory(65536)
        memory.copy_from(bytes([i]) * 65536)
        request = Request(target)
        request.format_write(memory, i * 65536)
        request.send()
    """,
        engine,
        str(tmp_path / "new"),
    )
    assert_silent(child)
    content = (tmp_path / "new").read_bytes()
    assert content == b"".join(bytes([i]) * 65536 for i in range(64))


def test_a_killed_process_leaves_nothing_that_holds_the_file(tmp_path: Path, engine: str) -> None:
    child = run_python(
        PRELUDE
        + """
    target = membuf.open_target(f"file:{sys.argv[2]}", create=True, engine=engine)
    request = Request(target)
    request.format_write(membuf.Memory(1 << 22), 0)
    request.send()
    os.kill(os.getpid(), 9)
    """,
        engine,
        str(tmp_path / "new"),
    )
    assert child.returncode == -9
    (tmp_path / "new").unlink()
