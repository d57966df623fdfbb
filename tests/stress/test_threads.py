"""Objects from many threads at once: no crash, every callback once, every block back once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

import membuf

THREADS = 4


def run_threads(work: Callable[[int], None], count: int = THREADS) -> None:
    """Run ``work(number)`` in threads that start together; what one raises is raised here."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - reported in the main thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise BaseExceptionGroup("threads failed", errors)


class Arena:
    """Shared objects, and the deeds that threads do to whatever they find."""

    def __init__(self, lookaside: membuf.LookasideList) -> None:
        self.lookaside = lookaside
        self.shared: list[membuf.Object] = []
        self.views: list[tuple[memoryview, int]] = []
        self.cleaned: Counter[int] = Counter()
        self.destroyed: Counter[int] = Counter()
        self.made = 0
        self.lock = threading.Lock()

    def hooks(self) -> dict[str, Callable[[membuf.Object], None]]:
        """Callbacks that count under a number of their own."""
        with self.lock:
            self.made += 1
            number = self.made

        def cleaned(_: membuf.Object) -> None:
            with self.lock:
                self.cleaned[number] += 1

        def destroyed(_: membuf.Object) -> None:
            with self.lock:
                self.destroyed[number] += 1

        return {"on_cleanup": cleaned, "on_destroy": destroyed}

    def pick(self, dice: random.Random) -> membuf.Object | None:
        """Somebody's object, maybe gone already."""
        try:
            return self.shared[dice.randrange(len(self.shared))]
        except (IndexError, ValueError):
            return None

    def step(self, dice: random.Random) -> None:
        """One random deed; a refusal is as good as a success."""
        deed = dice.choice((
            self.create, self.create, self.create, self.delete, self.delete, self.view,
            self.release, self.reference, self.walk, self.forget,
        ))  # fmt: skip
        try:
            deed(dice)
        except (membuf.ObjectDeletedError, membuf.DeletePendingError, BufferError):
            return

    def create(self, dice: random.Random) -> None:
        """An object of some kind, under somebody or nobody."""
        parent = self.pick(dice) if dice.random() < 0.6 else None
        hooks = self.hooks() if dice.random() < 0.5 else {}
        make = dice.choice((
            lambda: membuf.Object(parent=parent, **hooks),
            lambda: membuf.Memory(64, tag="Thrd", parent=parent, **hooks),
            lambda: self.lookaside.allocate(parent=parent, **hooks),
            lambda: membuf.Memory.preallocated(bytearray(64), parent=parent, **hooks),
        ))  # fmt: skip
        made = make()
        if isinstance(made, membuf.Memory):
            made.copy_from(bytes([dice.randrange(256)]) * 64)
        self.shared.append(made)

    def delete(self, dice: random.Random) -> None:
        """Delete somebody's object, maybe for the second time."""
        found = self.pick(dice)
        if found is not None:
            found.delete()

    def view(self, dice: random.Random) -> None:
        """Look at somebody's bytes: they are all alike, or the block is shared."""
        found = self.pick(dice)
        if isinstance(found, membuf.Memory):
            view = found.buffer
            copy = bytes(view)
            if len(self.views) < 50:
                self.views.append((view, 0))
            assert len(copy) == 64

    def release(self, dice: random.Random) -> None:
        """Let go of a view."""
        try:
            view, _ = self.views.pop()
        except IndexError:
            return
        view.release()

    def reference(self, dice: random.Random) -> None:
        """Hold somebody's object for a moment."""
        found = self.pick(dice)
        if found is not None:
            found.reference("moment")
            try:
                assert found.reference_count >= 1
            finally:
                found.dereference("moment")

    def walk(self, dice: random.Random) -> None:
        """Read relations while others change them."""
        found = self.pick(dice)
        if found is not None:
            assert all(isinstance(child, membuf.Object) for child in found.children)
            assert found.parent is None or isinstance(found.parent, membuf.Object)
            repr(found)

    def forget(self, dice: random.Random) -> None:
        """Drop a handle from the shared list."""
        try:
            del self.shared[dice.randrange(len(self.shared))]
        except (IndexError, ValueError):
            return


def test_anything_from_any_thread(seed: int, deadline: float) -> None:
    with membuf.Domain(tag="Strs"):
        lookaside = membuf.LookasideList(64, tag="Look")
        arena = Arena(lookaside)

        def work(number: int) -> None:
            dice = random.Random(seed + number)
            while time.monotonic() < deadline:
                for _ in range(50):
                    arena.step(dice)

        run_threads(work)
        for view, _ in arena.views:
            view.release()
        arena.views.clear()
        for handle in arena.shared:
            if not handle.deleted:
                handle.delete()
        del handle
        arena.shared.clear()
        assert set(arena.cleaned.values()) <= {1}
        assert arena.cleaned == arena.destroyed
        assert lookaside.statistics().outstanding == 0
        lookaside.delete()
        held = {record.tag: record.outstanding for record in membuf.pool.statistics().tags}
        assert set(held.values()) == {0}


class Tally:
    """Callbacks that count under a name, from any thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()

    def of(self, name: str) -> Callable[[membuf.Object], None]:
        """A callback that counts one more."""

        def callback(_: membuf.Object) -> None:
            with self.lock:
                self.counts[name] += 1

        return callback


def delete_at_once(targets: Sequence[membuf.Object]) -> int:
    """Delete each target in a thread of its own; how many were told that it was gone."""
    gone: list[int] = []

    def delete(number: int) -> None:
        try:
            targets[number].delete()
        except membuf.ObjectDeletedError:
            gone.append(number)

    run_threads(delete, len(targets))
    return len(gone)


def test_one_child_and_its_parent_deleted_at_once(deadline: float) -> None:
    while time.monotonic() < deadline:
        tally = Tally()
        parent = membuf.Object(on_cleanup=tally.of("cP"), on_destroy=tally.of("dP"))
        child = membuf.Object(parent=parent, on_cleanup=tally.of("cC"), on_destroy=tally.of("dC"))
        assert delete_at_once((parent, child)) <= 1
        assert tally.counts == Counter(cP=1, dP=1, cC=1, dC=1)


@pytest.mark.parametrize("own", [True, False], ids=["own lists", "one list"])
def test_lists_stay_balanced(own: bool, seed: int, deadline: float) -> None:
    """Allocations less frees is what lives; no block is ever in two hands."""
    with membuf.Domain(tag="Bala"):
        shared = membuf.LookasideList(64)
        lists = [membuf.LookasideList(64, parent=shared) if own else shared for _ in range(THREADS)]
        kept: list[list[membuf.Memory]] = [[] for _ in range(THREADS)]

        def work(number: int) -> None:
            dice = random.Random(seed + number)
            mine = kept[number]
            mark = bytes([number + 1]) * 64
            while time.monotonic() < deadline:
                if dice.random() < 0.5 and len(mine) < 40:
                    memory = lists[number].allocate()
                    memory.copy_from(mark)
                    mine.append(memory)
                elif mine:
                    memory = mine.pop(dice.randrange(len(mine)))
                    assert memory.buffer == mark
                    memory.delete()

        run_threads(work)
        unique = list({id(each): each for each in lists}.values())
        assert sum(each.statistics().outstanding for each in unique) == sum(map(len, kept))
        addresses = [memory.address for mine in kept for memory in mine]
        assert len(addresses) == len(set(addresses))
        for mine in kept:
            for memory in mine:
                memory.delete()
        assert [each.statistics().outstanding for each in unique] == [0] * len(unique)
        shared.delete()
        assert all(each.deleted for each in lists)


def allocated_by_a_dead_thread(pages: membuf.LookasideList, count: int) -> list[membuf.Memory]:
    """Memories whose thread has ended."""
    made: list[membuf.Memory] = []
    thread = threading.Thread(target=lambda: made.extend(pages.allocate() for _ in range(count)))
    thread.start()
    thread.join()
    return made


def test_blocks_freed_by_another_thread_and_by_dead_ones(deadline: float) -> None:
    with membuf.Domain(tag="Cros"):
        pages = membuf.LookasideList(4096)
        while time.monotonic() < deadline:
            for memory in allocated_by_a_dead_thread(pages, 20):
                memory.delete()
        assert pages.statistics().outstanding == 0
        pages.delete()
        assert all(record.outstanding == 0 for record in membuf.pool.statistics().tags)


def test_one_object_deleted_by_all_threads(deadline: float) -> None:
    while time.monotonic() < deadline:
        tally = Tally()
        lone = membuf.Memory(64, on_destroy=tally.of("d"))
        assert delete_at_once([lone] * THREADS) < THREADS
        assert tally.counts == Counter(d=1)


def copy_while_deleted(memory: membuf.Memory, source: bytes) -> None:
    """One thread copies, another deletes: the copy is whole or refused."""

    def work(number: int) -> None:
        if number == 0:
            memory.delete()
            return
        try:
            memory.copy_from(source)
        except membuf.ObjectDeletedError:
            assert memory.deleted

    run_threads(work, 2)


def test_copies_while_another_thread_deletes(deadline: float) -> None:
    size = 20 << 20  # large enough for a copy with the interpreter released
    source = bytes(size)
    while time.monotonic() < deadline:
        copy_while_deleted(membuf.Memory(size, pool=membuf.PAGED), source)


def test_a_preallocated_buffer_is_swapped_while_read(deadline: float) -> None:
    small, large = bytearray(b"s" * 10), bytearray(b"l" * 10_000)
    memory = membuf.Memory.preallocated(small)

    def work(number: int) -> None:
        turn = 0
        while time.monotonic() < deadline:
            turn += 1
            if number == 0:
                memory.assign_buffer(large if turn % 2 else small)
                continue
            view = memory.buffer
            assert bytes(view) in {bytes(small), bytes(large)}
            view.release()

    run_threads(work)
