"""Signals: Ctrl-C in the middle of anything leaves everything consistent."""

from __future__ import annotations

from tests.support import assert_silent, run_python, without_sanitizer

TRAFFIC = """
    import itertools, membuf, signal, time

    class Interrupted(Exception):
        pass

    def interrupt(number, frame):
        raise Interrupted

    signal.signal(signal.SIGALRM, interrupt)
    pages = membuf.LookasideList(64, tag="Sign")
    end = time.monotonic() + 2
    interrupts = 0
    while time.monotonic() < end:
        root = None
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            root = membuf.Object()
            for _ in itertools.repeat(None):
                memory = pages.allocate(parent=root, on_cleanup=lambda handle: handle.name)
                memory.copy_from(b"x" * 64)
                view = memory.buffer
                memory.delete()
                view.release()
        except Interrupted:
            interrupts += 1
        except ExceptionGroup as group:
            assert group.subgroup(Interrupted), group
            interrupts += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        if root is not None and not root.deleted:
            root.delete()
        memory = view = None
    assert interrupts > 10
    figures = pages.statistics()
    assert figures.outstanding == 0, figures
    pages.delete()
    record, = (r for r in membuf.pool.statistics().tags if r.tag == "Sign")
    assert record.outstanding == 0 and record.bytes == 0, record
"""


def test_interrupts_in_the_middle_of_traffic() -> None:
    assert_silent(run_python(TRAFFIC))


@without_sanitizer
def test_a_fault_outside_our_memory_is_still_a_fault() -> None:
    """membuf installs no handler that would hide somebody else's crash."""
    child = run_python("import membuf, ctypes\nmembuf.Memory(64)\nctypes.string_at(1)")
    assert child.returncode == -11
