"""MDLs at the limits of the process: locked memory, rights, exit, dropping."""

from __future__ import annotations

import resource
import textwrap
from subprocess import CompletedProcess

from tests.support import assert_silent, run_python, without_sanitizer

LIMIT = 1 << 20
# What is imported once the process may read no file any more; then nobody, without capabilities.
NOBODY = """\
import membuf, membuf.mdl._ring, mmap, os
from membuf.mdl import allocate_pages
from tests.mdl import locked_bytes
os.getuid() or os.setuid(65534)
"""


def as_nobody(code: str, locked: int = resource.RLIM_INFINITY) -> CompletedProcess[str]:
    """Run code without rights, with so many bytes to lock."""
    limits = {} if locked == resource.RLIM_INFINITY else {resource.RLIMIT_MEMLOCK: locked}
    return run_python(NOBODY + textwrap.dedent(code), limits=limits)


@without_sanitizer
def test_a_lock_beyond_the_limit_is_refused_whole() -> None:
    code = """
    memory = mmap.mmap(-1, 4 << 20)
    first, second = membuf.Mdl(memory, 0, 600 << 10), membuf.Mdl(memory, 300 << 10)
    before = locked_bytes()
    first.lock()
    try:
        second.lock()
    except membuf.InsufficientResourcesError as error:
        assert error.status == 0xC00000A1 and "ulimit -l" in str(error)
    else:
        raise AssertionError("locked past the limit")
    assert second.kind == "raw" and second.guarantees == frozenset()
    assert locked_bytes() - before == 600 << 10
    first.unlock()
    assert locked_bytes() == before
    """
    assert_silent(as_nobody(code, LIMIT))


@without_sanitizer
def test_a_pin_beyond_the_limit_is_refused_and_leaves_no_lock() -> None:
    code = """
    memory = mmap.mmap(-1, 4 << 20)
    before = locked_bytes()
    mdl = membuf.Mdl(memory, 0, 600 << 10)
    other = membuf.Mdl(memory, 1 << 20, 900 << 10)
    mdl.pin()
    mdl.unpin()
    for _ in range(2):
        try:
            other.lock()
            with membuf.Mdl(memory, 2 << 20, 900 << 10) as third:
                third.pin()
        except membuf.InsufficientResourcesError as error:
            assert error.status == 0xC00000A1
        else:
            raise AssertionError("pinned past the limit")
        other.unlock()
        assert locked_bytes() == before
    """
    assert_silent(as_nobody(code, LIMIT))


def test_who_may_not_see_frames_is_told_so() -> None:
    code = """
    with membuf.Mdl(bytearray(10_000)) as mdl:
        mdl.pin()
        assert mdl.guarantees == {"resident", "pinned"}
        try:
            mdl.frames
        except membuf.FrameUnknownError as error:
            assert "CAP_SYS_ADMIN" in str(error)
        else:
            raise AssertionError("frames were told")
        mdl.unpin()
    """
    assert_silent(as_nobody(code))


@without_sanitizer
def test_pages_of_its_own_are_as_many_as_the_limit_allows() -> None:
    code = """
    with allocate_pages(4 << 20) as mdl:
        assert 4096 <= mdl.byte_count < 4 << 20
        assert mdl.guarantees == {"resident"}
    try:
        allocate_pages(4 << 20, fully_required=True)
    except membuf.InsufficientResourcesError:
        pass
    else:
        raise AssertionError("allocated past the limit")
    """
    assert_silent(as_nobody(code, LIMIT))


def test_what_is_locked_at_exit_is_silent_and_reported_where_asked_for() -> None:
    code = """
    import membuf, mmap
    mdl = membuf.Mdl(mmap.mmap(-1, 8192))
    mdl.pin()
    """
    assert_silent(run_python(code))
    loud = run_python(
        "import warnings\nwarnings.simplefilter('always')"
        + code.replace("\n    ", "\n")
        + "del mdl\n"
    )
    assert "dropped without unlock()" in loud.stderr
