"""Domains: a tag, a limit and counters of their own, current inside `with`."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

import membuf
from tests.support import Recorder, figures, run_python, without_sanitizer

PAGE = 4096


def test_a_domain_gives_its_tag() -> None:
    with membuf.Domain(tag="Drv1"):
        assert membuf.Memory(64).tag == "Drv1"
        assert membuf.LookasideList(64).tag == "Drv1"
        assert membuf.LookasideList(64, tag="Own1").allocate().tag == "Own1"


def test_counters_are_its_own() -> None:
    before = membuf.pool.statistics()
    with membuf.Domain(tag="Drv2"):
        memory = membuf.Memory(64)
        assert figures("Drv2") == (1, 0, 64)
        memory.delete()
        assert figures("Drv2") == (1, 1, 0)
    assert membuf.pool.statistics() == before


def test_domains_nest() -> None:
    with membuf.Domain(tag="Outr"):
        with membuf.Domain(tag="Innr"):
            assert membuf.Memory(64).tag == "Innr"
        assert membuf.Memory(64).tag == "Outr"


def test_memory_stays_in_the_domain_that_made_it() -> None:
    with membuf.Domain(tag="Outr"):
        memory = membuf.Memory(64)
        with membuf.Domain(tag="Innr"):
            memory.delete()
            assert figures("Outr") == (0, 0, 0)
        assert figures("Outr") == (1, 1, 0)


def test_a_list_allocates_from_the_domain_that_made_it() -> None:
    with membuf.Domain(tag="Outr"):
        pages = membuf.LookasideList(64)
        with membuf.Domain(tag="Innr", limit=1):
            pages.allocate().delete()
        pages.delete()
        assert figures("Outr")[2] == 0


def test_exit_deletes_what_the_domain_owns() -> None:
    recorder = Recorder()
    with membuf.Domain(tag="Drv3") as domain:
        root = membuf.Object(parent=domain, **recorder.hooks("R"))
        child = membuf.Memory(64, parent=root, **recorder.hooks("M"))
    assert recorder.text == "c:M c:R d:M d:R"
    assert root.deleted
    assert child.deleted
    assert domain.deleted


def test_views_survive_their_domain() -> None:
    domain = membuf.Domain(tag="Drv4")
    domain.__enter__()
    memory = membuf.Memory(PAGE, parent=domain)
    memory.copy_from(b"survivor")
    view = memory.buffer
    with pytest.warns(ResourceWarning, match="held by a view only"):
        domain.__exit__(None, None, None)
    del domain, memory
    membuf.pool.trim()
    assert bytes(view[:8]) == b"survivor"
    view[:8] = b"writable"
    view.release()


def test_a_block_left_at_exit_is_reported_as_a_leak() -> None:
    with pytest.warns(ResourceWarning, match="Leak"), membuf.Domain(tag="Leak"):
        block = membuf.pool.allocate(64)
    block.free()


def test_exit_without_leaks_says_nothing() -> None:
    with membuf.Domain(tag="Tidy") as domain:
        membuf.Memory(64, parent=domain)
        membuf.pool.allocate(64).free()
        membuf.LookasideList(64, parent=domain).allocate().delete()


def test_the_limit_is_the_domains_alone() -> None:
    with membuf.Domain(tag="Lim1", limit=PAGE):
        memory = membuf.Memory(PAGE)
        with pytest.raises(membuf.InsufficientResourcesError):
            membuf.Memory(1)
        with membuf.Domain(tag="Lim2", limit=PAGE):
            membuf.Memory(PAGE).delete()
        memory.delete()
        membuf.Memory(PAGE).delete()


@pytest.mark.parametrize("wrong", [-1, -(2**70)])
def test_a_limit_is_not_negative(wrong: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        membuf.Domain(limit=wrong)


@pytest.mark.parametrize("wrong", [2.7, True, "64KiB"])
def test_a_limit_is_an_integer(wrong: object) -> None:
    with pytest.raises(TypeError):
        membuf.Domain(limit=wrong)


@pytest.mark.parametrize("wrong", ["maybe", "", 3, True])
def test_locked_is_one_of_a_few_words(wrong: object) -> None:
    with pytest.raises((membuf.InvalidParameterError, TypeError)):
        membuf.Domain(locked=wrong)


def test_threads_have_the_default_domain_unless_given_a_context() -> None:
    tags: list[str] = []

    def work() -> None:
        tags.append(membuf.Memory(64).tag)

    with membuf.Domain(tag="Main"):
        context = contextvars.copy_context()
        for run in (work, lambda: context.run(work)):
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        tags.append(membuf.Memory(64).tag)
    assert tags[1:] == ["Main", "Main"]
    assert tags[0] != "Main"


def test_tasks_keep_their_domains_apart() -> None:
    async def work(tag: str) -> str:
        with membuf.Domain(tag=tag):
            await asyncio.sleep(0)
            return membuf.Memory(64).tag

    async def gather() -> list[str]:
        return await asyncio.gather(work("Tsk1"), work("Tsk2"))

    assert asyncio.run(gather()) == ["Tsk1", "Tsk2"]


def test_exit_restores_the_domain_when_the_body_raises() -> None:
    default = membuf.Memory(64).tag
    with pytest.raises(KeyError), membuf.Domain(tag="Rais"):
        raise KeyError
    assert membuf.Memory(64).tag == default


def test_sites_can_be_left_out() -> None:
    with membuf.Domain(tag="Site", sites=False):
        assert membuf.Memory(64).site is None
    with membuf.Domain(tag="Site"):
        assert "test_domain_scope.py" in str(membuf.Memory(64).site)


def test_zero_on_free_clears_what_goes_back() -> None:
    with membuf.Domain(tag="Zero", zero_on_free=True):
        for size in (64, PAGE):
            memory = membuf.Memory(size)
            address = memory.address
            memory.copy_from(b"\xff" * size)
            memory.delete()
            again = membuf.Memory(size)
            assert again.address == address
            assert again.buffer == bytes(size)
            again.delete()


@without_sanitizer
def test_without_the_right_to_lock_required_fails_and_best_effort_counts() -> None:
    child = run_python(
        """
        import membuf, resource
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        with membuf.Domain(tag="Lock", locked="required"):
            try:
                membuf.Memory(4096, pool=membuf.NONPAGED)
            except membuf.InsufficientResourcesError as error:
                print(int(error.status) == 0xC000009A)
            membuf.Memory(4096, pool=membuf.PAGED).delete()
            assert all(record.outstanding == 0 for record in membuf.pool.statistics().tags)
        with membuf.Domain(tag="Best"):
            memory = membuf.Memory(4096, pool=membuf.NONPAGED)
            print(membuf.pool.statistics().unlocked_bytes > 0)
            memory.delete()
        """,
        unprivileged=True,
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "True\nTrue\n", "")


@without_sanitizer
def test_with_the_right_to_lock_nonpaged_memory_is_resident() -> None:
    child = run_python(
        """
        import membuf, re
        def locked():
            return int(re.search(r"VmLck:\\s+(\\d+)", open("/proc/self/status").read())[1])
        before = locked()
        with membuf.Domain(tag="Lock", locked="required"):
            memory = membuf.Memory(1 << 20, pool=membuf.NONPAGED)
            print(locked() - before >= 1024)
            memory.delete()
        """
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "True\n", "")


def test_threads_may_enter_one_domain_and_leave_it_in_any_order() -> None:
    domain = membuf.Domain(tag="Shar")
    both_in, first_out = threading.Barrier(2), threading.Event()
    tags: list[str] = []

    def first() -> None:
        with domain:
            both_in.wait()
        tags.append(membuf.Memory(8).tag)
        first_out.set()

    def second() -> None:
        with domain:
            both_in.wait()
            first_out.wait()
            tags.append(membuf.Memory(8).tag)
        tags.append(membuf.Memory(8).tag)

    with domain:
        threads = [threading.Thread(target=work) for work in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not domain.deleted
        assert membuf.Memory(8).tag == "Shar"
    assert tags == ["Memb", "Shar", "Memb"]
    assert domain.deleted


def test_a_deleted_domain_gives_nothing_though_it_is_current() -> None:
    with membuf.Domain(tag="Gone") as domain:
        pages = membuf.LookasideList(64)
        block = membuf.pool.allocate(64)
        domain.delete()
        for call in (
            lambda: membuf.Memory(64),
            lambda: membuf.LookasideList(64),
            lambda: membuf.pool.allocate(64),
        ):
            with pytest.raises(membuf.ObjectDeletedError):
                call()
        block.free()
        pages.delete()
    with pytest.raises(membuf.ObjectDeletedError), domain:
        pass
    assert membuf.pool.current_domain() is membuf.pool.default_domain()


def test_a_domain_entered_twice_ends_with_the_outer_exit() -> None:
    domain = membuf.Domain(tag="Twic")
    with domain:
        with domain:
            memory = membuf.Memory(64, parent=domain)
        assert not memory.deleted
        assert membuf.pool.current_domain() is domain
    assert memory.deleted
