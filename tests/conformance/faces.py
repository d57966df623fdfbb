"""The two faces of membuf, speaking the verbs of the case tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import membuf
import membuf.verifier
from tests.conformance.mdl_verbs import PythonMdlVerbs
from tests.conformance.script import SUCCESS, Outcome, Run, Step

SHORT_BUFFER = 256
PAGED = {"paged": membuf.PAGED, None: membuf.NONPAGED}

_NODE = re.compile(r"\w+|[{},]")


def ends(items: Sequence[Any]) -> tuple[Any, Any]:
    """The first and the last of items, or None twice."""
    return (items[0], items[-1]) if items else (None, None)


class World:
    """What a case has made, by its names, and the verbs that both faces share."""

    name: str
    root: Any

    def __init__(self) -> None:
        self.run = Run(self)
        self.things: dict[str, Any] = {}
        self.addresses: dict[str, int] = {}
        self.faults: Any = None

    def do(self, step: Step) -> Any:
        """Take a step by the method of its verb."""
        verb: Callable[[Step], Any] = getattr(self, "do_" + step.verb)
        return verb(step)

    def thing(self, name: str | None) -> Any:
        """The object of a name; NULL is None, ROOT what owns the rest."""
        if name in (None, "NULL"):
            return None
        return self.root if name == "ROOT" else self.things[name]

    def hooks(self, name: str) -> tuple[Callable[[Any], None], Callable[[Any], None]]:
        """The callbacks of an object: they log, and take the row's steps for them."""

        def on_cleanup(thing: Any) -> None:
            assert name not in self.things or self.things[name] is thing
            self.run.callback(f"c:{name}")

        def on_destroy(thing: Any) -> None:
            assert name not in self.things or self.things[name] is thing
            self.run.callback(f"d:{name}")

        return on_cleanup, on_destroy

    def do_tree(self, step: Step) -> None:
        """tree R{B{D},C}: objects with their parents, in the order of the text."""
        owners: list[str | None] = [None]
        latest = None
        for word in _NODE.findall("".join(step.arguments)):
            if word == "{":
                owners.append(latest)
            elif word == "}":
                owners.pop()
            elif word != ",":
                latest = word
                options = {"parent": owners[-1]} if owners[-1] else {}
                self.do(Step(step.text, "object", (word,), options, None))

    def do_buffer(self, step: Step) -> None:
        """buffer B 64 [kind=bytes]: the caller's own memory, counting up from 0."""
        contents = bytes(i % 256 for i in range(step.number(1)))
        kind = bytes if step.options.get("kind") == "bytes" else bytearray
        self.things[step.arguments[0]] = kind(contents)

    def buffer_for(self, step: Step, size: int) -> Any:
        """The caller's buffer of a copy: a named one, or one of the count if that can be."""
        if "buffer" in step.options:
            return self.thing(step.options["buffer"])
        return bytearray(b"\xee" * min(size, SHORT_BUFFER))

    def do_contents(self, step: Step) -> bytes:
        """contents M 0 4: bytes of a buffer or memory object."""
        first, count = step.number(1), step.number(2)
        with memoryview(self.thing(step.arguments[0])) as view:
            return bytes(view[first : first + count])

    def do_fill(self, step: Step) -> None:
        """fill M 0x41: every byte."""
        with memoryview(self.thing(step.arguments[0])) as view:
            view[:] = bytes((step.number(1),)) * len(view)

    def do_is_filled(self, step: Step) -> bool:
        """is_filled M 0: whether every byte has that value."""
        with memoryview(self.thing(step.arguments[0])) as view:
            return set(bytes(view)) == {step.number(1)}

    def do_aligned(self, step: Step) -> bool:
        """aligned M 16: whether the address is a multiple."""
        return bool(self.thing(step.arguments[0]).address % step.number(1) == 0)

    def do_within_a_page(self, step: Step) -> bool:
        """within_a_page M: whether no page boundary lies inside."""
        thing = self.thing(step.arguments[0])
        return bool(thing.address // 4096 == (thing.address + thing.size - 1) // 4096)

    def do_remember(self, step: Step) -> None:
        """remember M: its address, for `same`."""
        self.addresses[step.arguments[0]] = self.thing(step.arguments[0]).address

    def do_same(self, step: Step) -> bool:
        """same N M: whether N lies where M was remembered."""
        thing, remembered = step.arguments
        return bool(self.thing(thing).address == self.addresses[remembered])

    def do_deleted(self, step: Step) -> bool:
        """deleted X."""
        return bool(self.thing(step.arguments[0]).deleted)

    def do_count(self, step: Step) -> int:
        """count X: references, the tree's included."""
        return int(self.thing(step.arguments[0]).reference_count)

    def do_children(self, step: Step) -> str:
        """children X: names, in creation order."""
        return self.names_of(self.thing(step.arguments[0]).children)

    def names_of(self, things: Iterable[Any]) -> str:
        """The names under which the case knows objects."""
        names = {id(thing): name for name, thing in self.things.items()}
        return " ".join(names[id(thing)] for thing in things)

    def do_parent(self, step: Step) -> str | None:
        """parent X: its name."""
        parent = self.thing(step.arguments[0]).parent
        return next((n for n, t in {**self.things, "ROOT": self.root}.items() if t is parent), None)

    def do_source(self, step: Step) -> str:
        """source M."""
        return str(self.thing(step.arguments[0]).source)

    def do_tag(self, step: Step) -> str:
        """tag M, in display order."""
        return str(self.thing(step.arguments[0]).tag)

    def do_pool(self, step: Step) -> int:
        """pool M: the pool type's number."""
        return int(self.thing(step.arguments[0]).pool)

    def do_statistics(self, step: Step) -> int:
        """statistics L idle: a counter of a lookaside list."""
        return int(getattr(self.thing(step.arguments[0]).statistics(), step.arguments[1]))

    def do_usage(self, step: Step) -> Any:
        """usage Capt allocations [pool=paged]: a counter of a tag."""
        pool = PAGED[step.options.get("pool")]
        record = membuf.pool.statistics().tag(step.arguments[0], pool)
        return None if record is None else getattr(record, step.arguments[1])

    def do_totals(self, step: Step) -> Any:
        """totals outstanding: a figure of the domain."""
        return getattr(membuf.pool.statistics(), step.arguments[0])

    def do_limit(self, step: Step) -> None:
        """limit 8192: of the domain, in bytes."""
        membuf.pool.set_limit(step.number(0))

    def do_faults(self, step: Step) -> None:
        """faults 3: the third allocation from now and all later fail; `faults 0` ends it."""
        if self.faults is not None:
            self.faults.__exit__(None, None, None)
            self.faults = None
        if step.number(0):
            self.faults = membuf.verifier.faults(after=step.number(0))
            self.faults.__enter__()

    def do_flush(self, step: Step) -> None:
        """flush L."""
        self.thing(step.arguments[0]).flush()

    def do_rebalance(self, step: Step) -> None:
        """rebalance L."""
        self.thing(step.arguments[0]).rebalance()

    def do_forget(self, step: Step) -> None:
        """forget X: drop the case's own Python reference."""
        del self.things[step.arguments[0]]

    def do_end(self, step: Step) -> None:
        """end: of ROOT, and all it owns."""
        self.close()

    def close(self) -> None:
        """End what the case made."""
        if self.faults is not None:
            self.faults.__exit__(None, None, None)
        self.things.clear()  # what only the case held goes now: the end of ROOT reports the rest
        if not self.root.deleted:
            self.root.__exit__(None, None, None)


class PythonFace(PythonMdlVerbs, World):
    """`membuf`: objects and exceptions."""

    name = "python"

    def __init__(self, strict: bool = False, verifier: bool = False) -> None:
        super().__init__()
        self.root = membuf.Domain(tag="Xy12", name="ROOT", auto_rebalance=False).__enter__()

    def make(self, step: Step, kind: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Make an object of a name with its callbacks, and without a parent unless one is given."""
        name = step.arguments[0]
        on_cleanup, on_destroy = self.hooks(name)
        if "parent" in step.options:
            options["parent"] = self.thing(step.options["parent"])
        self.things[name] = kind(
            *arguments, on_cleanup=on_cleanup, on_destroy=on_destroy, **options
        )

    def do_object(self, step: Step) -> None:
        """object X [parent=P]."""
        self.make(step, membuf.Object)

    def do_memory(self, step: Step) -> None:
        """memory M 100 [pool=paged] [tag=Capt] [parent=P]."""
        options = {"tag": step.options["tag"]} if "tag" in step.options else {}
        pool = PAGED[step.options.get("pool")]
        self.make(step, membuf.Memory, step.number(1), pool=pool, **options)

    def do_preallocated(self, step: Step) -> None:
        """preallocated M B 64 [parent=P]: over the first bytes of a buffer."""
        view = memoryview(self.thing(step.arguments[1]))[: step.number(2)]
        self.make(step, membuf.Memory.preallocated, view)

    def do_list(self, step: Step) -> None:
        """list L 100 [pool=paged] [tag=Capt] [parent=P] [memory_parent=Q]."""
        options = {"tag": step.options["tag"]} if "tag" in step.options else {}
        if "memory_parent" in step.options:
            options["memory_parent"] = self.thing(step.options["memory_parent"])
        pool = PAGED[step.options.get("pool")]
        self.make(step, membuf.LookasideList, step.number(1), pool=pool, **options)

    def do_take(self, step: Step) -> None:
        """take M L: a memory object from a list."""
        self.make(step, self.thing(step.arguments[1]).allocate)

    def do_collection(self, step: Step) -> None:
        """collection C [parent=P]."""
        self.make(step, membuf.Collection)

    def do_spin_lock(self, step: Step) -> None:
        """spin_lock S [parent=P]."""
        self.make(step, membuf.SpinLock)

    def do_wait_lock(self, step: Step) -> None:
        """wait_lock W [parent=P]."""
        self.make(step, membuf.WaitLock)

    def do_acquire(self, step: Step) -> Outcome:
        """acquire S, or acquire W 0: a spin lock, or a wait lock with its timeout in 100 ns."""
        lock = self.thing(step.arguments[0])
        timeout = () if len(step.arguments) == 1 else (-step.number(1) / 10_000_000,)
        return Outcome("TIMEOUT" if lock.acquire(*timeout) is False else SUCCESS)

    def do_release(self, step: Step) -> None:
        """release S: a lock of either kind."""
        self.thing(step.arguments[0]).release()

    def do_add(self, step: Step) -> None:
        """add C X: to a collection."""
        self.thing(step.arguments[0]).add(self.thing(step.arguments[1]))

    def do_remove(self, step: Step) -> None:
        """remove C X: its first entry."""
        self.thing(step.arguments[0]).remove(self.thing(step.arguments[1]))

    def do_remove_item(self, step: Step) -> None:
        """remove_item C 0: by index."""
        del self.thing(step.arguments[0])[step.number(1)]

    def do_items(self, step: Step) -> str:
        """items C: names, in order; what else can be asked must agree."""
        collection = self.thing(step.arguments[0])
        items = list(collection)
        assert len(collection) == len(items)
        assert [collection[i] for i in range(len(items))] == items
        assert (collection.first, collection.last) == ends(items)
        return self.names_of(items)

    def do_delete(self, step: Step) -> None:
        """delete X."""
        self.thing(step.arguments[0]).delete()

    def do_reference(self, step: Step) -> None:
        """reference X [tag=A]."""
        self.thing(step.arguments[0]).reference(step.options.get("tag"))

    def do_dereference(self, step: Step) -> None:
        """dereference X [tag=A]."""
        self.thing(step.arguments[0]).dereference(step.options.get("tag"))

    def do_assign(self, step: Step) -> None:
        """assign M B 64."""
        view = memoryview(self.thing(step.arguments[1]))[: step.number(2)]
        self.thing(step.arguments[0]).assign_buffer(view)

    def do_copy_to(self, step: Step) -> None:
        """copy_to M 0 100 [buffer=B]: offset and count."""
        memory, count = self.thing(step.arguments[0]), step.number(2)
        memory.copy_to(memoryview(self.buffer_for(step, count))[:count], step.number(1))

    def do_copy_from(self, step: Step) -> None:
        """copy_from M 0 100 [buffer=B]: offset and count."""
        memory, count = self.thing(step.arguments[0]), step.number(2)
        memory.copy_from(memoryview(self.buffer_for(step, count))[:count], step.number(1))

    def do_allocate(self, step: Step) -> None:
        """allocate B 100 [pool=paged] [tag=Capt] [zero=yes]: a local buffer."""
        self.things[step.arguments[0]] = membuf.pool.allocate(
            step.number(1),
            tag=step.options.get("tag"),
            pool=PAGED[step.options.get("pool")],
            zero="zero" in step.options,
        )

    def do_free(self, step: Step) -> None:
        """free B [tag=Capt]."""
        membuf.pool.free(self.thing(step.arguments[0]), tag=step.options.get("tag"))

    def do_align_up(self, step: Step) -> int:
        """align_up L A."""
        return membuf.align_up(step.number(0), step.number(1))

    def do_align_down(self, step: Step) -> int:
        """align_down L A."""
        return membuf.align_down(step.number(0), step.number(1))

    def do_size(self, step: Step) -> int:
        """size M."""
        return int(self.thing(step.arguments[0]).size)

    def do_part(self, step: Step) -> tuple[int, int]:
        """part M 50 50: offset and length that a descriptor comes to."""
        memory, first, length = self.thing(step.arguments[0]), step.number(1), step.number(2)
        found = membuf.MemoryDescriptor.handle(memory, first, length)
        return found.offset, found.length

    def do_context(self, step: Step) -> None:
        """context X T: add a context of a type, with callbacks c:X.T and d:X.T."""
        owner, kind = step.arguments
        self.thing(owner).add_context(
            self.context_type(kind),
            on_cleanup=lambda _: self.run.callback(f"c:{owner}.{kind}"),
            on_destroy=lambda _: self.run.callback(f"d:{owner}.{kind}"),
        )

    def do_has_context(self, step: Step) -> bool:
        """has_context X T."""
        owner, kind = step.arguments
        return self.thing(owner).get_context(self.context_type(kind)) is not None

    def context_type(self, kind: str) -> type:
        """The class that stands for a context type of a row."""
        found: type = self.things.setdefault(f"type {kind}", type(kind, (), {}))
        return found
