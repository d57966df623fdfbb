"""Running out: of address space, of lockable memory, of the domain's limit."""

from __future__ import annotations

import resource

from tests.support import assert_silent, run_python, without_sanitizer

GIBIBYTE = 1 << 30


@without_sanitizer
def test_address_space_runs_out_and_comes_back() -> None:
    code = """
        import membuf
        kept = []
        for size in (8 << 20, 1 << 20, 100_000):
            try:
                while True:
                    kept.append(membuf.Memory(size, pool=membuf.PAGED))
            except membuf.InsufficientResourcesError as error:
                assert int(error.status) == 0xC000009A
            for _ in range(len(kept) // 2):
                kept.pop()
        assert len(kept) > 10
        kept.clear()
        membuf.pool.trim()
        again = [membuf.Memory(1 << 20, pool=membuf.PAGED) for _ in range(50)]
        for memory in again:
            memory.copy_from(b"x" * 4096)
        again.clear()
        memory = None
        assert all(record.outstanding == 0 for record in membuf.pool.statistics().tags)
    """
    assert_silent(run_python(code, limits={resource.RLIMIT_AS: GIBIBYTE}))


@without_sanitizer
def test_lists_run_out_and_recover() -> None:
    code = """
        import membuf
        pages = membuf.LookasideList(1 << 20, tag="Runs", pool=membuf.PAGED)
        kept = []
        try:
            while True:
                kept.append(pages.allocate())
        except membuf.InsufficientResourcesError:
            figures = pages.statistics()
            assert figures.outstanding == len(kept), (figures, len(kept))
        kept.pop().delete()
        kept.append(pages.allocate())
        for memory in kept:
            memory.delete()
        assert pages.statistics().outstanding == 0
    """
    assert_silent(run_python(code, limits={resource.RLIMIT_AS: GIBIBYTE}))


@without_sanitizer
def test_lockable_memory_runs_out() -> None:
    """Best effort goes on unlocked and says so; a domain that requires locks fails and recovers."""
    code = """
        import membuf
        with membuf.Domain(tag="Best"):
            kept = [membuf.Memory(1 << 20) for _ in range(20)]
            unlocked = membuf.pool.statistics().unlocked_bytes
            assert 0 < unlocked, unlocked
            kept.clear()
        with membuf.Domain(tag="Must", locked="required"):
            kept = []
            try:
                while len(kept) < 100:
                    kept.append(membuf.Memory(1 << 20))
            except membuf.InsufficientResourcesError:
                pass
            assert 0 < len(kept) < 100, len(kept)
            assert membuf.pool.statistics().unlocked_bytes == 0
            kept.pop()
            kept.append(membuf.Memory(1 << 20))
            kept.clear()
    """
    limits = {resource.RLIMIT_MEMLOCK: 8 << 20}
    assert_silent(run_python(code, limits=limits, unprivileged=True))


@without_sanitizer
def test_no_lockable_memory_at_all() -> None:
    code = """
        import membuf
        memory = membuf.Memory(4096)
        memory.copy_from(b"works")
        assert membuf.pool.statistics().unlocked_bytes >= 4096
    """
    assert_silent(run_python(code, limits={resource.RLIMIT_MEMLOCK: 0}, unprivileged=True))
