"""Which engine a target gets, and what it gets where the system or the build has no io_uring."""

from __future__ import annotations

from pathlib import Path

import pytest

import membuf
from membuf.base import status as st
from membuf.target.choice import make_engine
from tests.engines import HAVE_URING
from tests.support import assert_silent, run_python, without_sanitizer

# A seccomp filter as container runtimes install it: io_uring_setup (425 on every machine) is
# answered with EPERM, all else is allowed.
FORBID_URING = """
    import asyncio, ctypes, struct, sys
    import membuf
    def instruction(code, true, false, k):
        return struct.pack("HBBI", code, true, false, k)
    program = (instruction(0x20, 0, 0, 0)            # load the number of the call
               + instruction(0x15, 0, 1, 425)        # io_uring_setup?
               + instruction(0x06, 0, 0, 0x00050001) # EPERM
               + instruction(0x06, 0, 0, 0x7FFF0000))
    buffer = ctypes.create_string_buffer(program)
    filter = struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0           # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.create_string_buffer(filter)) == 0, ctypes.get_errno()
"""

USE_IT = """
    path = sys.argv[1]
    async def read(target):
        return await target.read_async(bytearray(5), 0)
    with membuf.open_target(f"file:{path}") as target:
        statistics = target.statistics()
        assert statistics.engine == "threads"
        assert "io_uring cannot be used" in statistics.note, statistics
        assert sys.argv[2] in statistics.note, statistics
        assert target.read(bytearray(5), 0) == 5
        assert target.read_many([(bytearray(5), i) for i in range(20)]) == [5] * 20
        assert asyncio.run(read(target)) == 5
    try:
        membuf.open_target(f"file:{path}", engine="io_uring")
    except membuf.MembufError as error:
        assert error.status == 0xC00000BB, error
    else:
        raise AssertionError("io_uring by name has to be refused")
"""


@pytest.fixture
def image(tmp_path: Path) -> str:
    (tmp_path / "image").write_bytes(b"content" * 100)
    return str(tmp_path / "image")


@without_sanitizer
def test_a_container_that_forbids_io_uring_gets_threads_and_a_note(image: str) -> None:
    reason = "Operation not permitted" if HAVE_URING else "_uring"
    assert_silent(run_python(FORBID_URING + USE_IT, image, reason))


def test_a_build_without_io_uring_gets_threads_and_a_note(image: str) -> None:
    hide = """
    import asyncio, sys
    sys.modules["membuf.target._uring"] = None
    import membuf
    """
    assert_silent(run_python(hide + USE_IT, image, "_uring"))


def test_the_thread_engine_is_there_by_name(image: str) -> None:
    with membuf.open_target(f"file:{image}", engine="threads") as target:
        assert (target.statistics().engine, target.statistics().note) == ("threads", "")


def test_an_unknown_engine_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(membuf.InvalidParameterError, match="got 'turbo'"):
        make_engine("turbo")
    with pytest.raises(membuf.InvalidParameterError):
        membuf.open_target(f"file:{tmp_path / 'new'}", create=True, engine="turbo")
    assert not (tmp_path / "new").exists()


def test_no_descriptor_is_lost_where_opening_fails(tmp_path: Path) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(20):
        with pytest.raises(FileNotFoundError):
            membuf.open_target(f"file:{tmp_path / 'missing'}")
        with pytest.raises(IsADirectoryError):
            membuf.open_target(f"file:{tmp_path}", access="read")
        with pytest.raises(membuf.MembufError) as caught:
            membuf.open_target("file:/proc/self/status", access="read", direct=True)
        assert caught.value.status == st.STATUS_NOT_SUPPORTED
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= before + 1
