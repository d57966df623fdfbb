"""Every allocation inside of every public call fails in turn: an exception, never a crash."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

import membuf
import membuf.verifier
from tests.leak.calls import CALLS
from tests.support import run_python

# Written in Python: how these fare without memory is a matter of the interpreter, which crashes
# (3.12, 3.13) where it has none for the frame of a generator.
IN_PYTHON = (
    "align_up",
    "Collection",
    "Domain",
    "MemoryDescriptor",
    "pool.statistics",
    "SpinLock",
    "verifier.faults",
    "WaitLock",
)
NATIVE = {call: name for name, call in reversed(CALLS.items())}
for name in IN_PYTHON:
    del NATIVE[CALLS[name]]
# The calls that take blocks from the current domain.
SWEPT = (
    "Memory",
    "Memory.size",
    "Memory.__buffer__",
    "Memory.copy_from",
    "Memory.__dlpack__",
    "Memory.__reduce_ex__",
    "LookasideList.allocate",
    "pool.allocate",
    "Block.size",
    "Pointer",
    "MemoryDescriptor",
)

PROGRAM = """
    import gc, pickle, sys, warnings
    import _testcapi
    import membuf
    from tests.leak.calls import CALLS
    from tests.leak.meters import read

    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda args: None
    call = CALLS[sys.argv[1]]
    call()

    def outcome(nth):
        _testcapi.set_nomemory(nth, nth + 1)
        try:
            call()
        except BaseException as error:
            _testcapi.remove_mem_hooks()
            return error
        _testcapi.remove_mem_hooks()
        return None

    def is_expected(error):
        if isinstance(error, BaseExceptionGroup):
            return any(is_expected(inner) for inner in error.exceptions)
        if isinstance(error, SystemError):
            # Python 3.11 itself: no memory for the frame of a Python function.
            return "<function" in str(error)
        while error is not None:
            if isinstance(error, (MemoryError, pickle.PicklingError)):
                return True
            error = error.__context__
        return False

    before = read()
    wrong = []
    for nth in range(int(sys.argv[2])):
        error = outcome(nth)
        if error is not None and not is_expected(error):
            wrong.append((nth, repr(error)))
        error = None
    call()
    after = read()
    assert not wrong, wrong
    assert after.pool_outstanding == before.pool_outstanding, (before, after)
    assert after.pool_bytes == before.pool_bytes, (before, after)
    print("survived")
"""


@pytest.mark.parametrize("name", NATIVE.values())
def test_any_allocation_may_fail(name: str) -> None:
    child = run_python(PROGRAM, name, "250")
    assert (child.returncode, child.stdout) == (0, "survived\n"), child.stderr


def points_of(call: Callable[[], None]) -> int:
    """How many times a call asks the pool for memory."""
    with membuf.Domain(tag="Swep") as domain:
        call()
        gc.collect()
        return domain.statistics().allocation_points


@pytest.mark.parametrize("name", SWEPT)
def test_the_pool_may_refuse_anywhere(name: str) -> None:
    call = CALLS[name]
    assert points_of(call) > 0
    with membuf.Domain(tag="Swep") as domain:
        results = membuf.verifier.sweep(call)
        assert [result.point for result in results] == list(range(1, points_of(call) + 1))
        assert any(result.error is not None for result in results)
        results.clear()  # the errors hold frames, the frames hold memory
        gc.collect()
        figures = domain.statistics()
        assert (figures.outstanding, figures.bytes, figures.charged_bytes) == (0, 0, 0)
