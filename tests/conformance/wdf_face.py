"""`membuf.wdf`, speaking the verbs of the case tables."""

from __future__ import annotations

from typing import Any

from membuf import wdf
from membuf.base.status import Status
from membuf.wdf._descriptors import describe_part
from tests.conformance.faces import World, ends
from tests.conformance.mdl_verbs import WdfMdlVerbs
from tests.conformance.script import NUMBERS, Outcome, Step, number, status_name

POOL_TYPES = {"paged": wdf.PagedPool, None: wdf.NonPagedPoolNx}
CONTEXT_SIZE = 16


class WdfFace(WdfMdlVerbs, World):
    """The framework's names: handles, statuses and bug checks."""

    name = "wdf"

    def __init__(self, strict: bool = False, verifier: bool = False, **options: Any) -> None:
        super().__init__()
        self.root = wdf.driver(
            "WdfXy12", strict=strict, verifier=verifier, auto_rebalance=False, **options
        ).__enter__()

    # ---- making ----------------------------------------------------------------------------------

    def attributes(self, step: Step) -> wdf.WDF_OBJECT_ATTRIBUTES:
        """Attributes with the callbacks of a name, and what the step's options set."""
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        hooks = self.hooks(step.arguments[0])
        attributes.EvtCleanupCallback, attributes.EvtDestroyCallback = hooks
        attributes.ParentObject = self.thing(step.options.get("parent"))
        if "context" in step.options:
            wdf.WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(
                attributes, self.context_type(step.options["context"])
            )
        for option, field in (("level", "ExecutionLevel"), ("scope", "SynchronizationScope")):
            if option in step.options:
                setattr(attributes, field, number(step.options[option]))
        if "override" in step.options:
            attributes.ContextSizeOverride = number(step.options["override"])
        return attributes

    def keep(self, step: Step, status: Status, made: Any) -> Outcome:
        """Remember what a create made; a failed one must give no handle."""
        assert (made is None) == (not wdf.NT_SUCCESS(status))
        if made is not None:
            self.things[step.arguments[0]] = made
        return Outcome(status_name(status))

    def tag_of(self, step: Step) -> Any:
        """The step's tag, 0 without one."""
        return step.options["tag"].encode() if "tag" in step.options else 0

    def do_object(self, step: Step) -> Outcome:
        """object X [parent=P] [level=2] [context=T]."""
        return self.keep(step, *wdf.WdfObjectCreate(self.attributes(step)))

    def do_memory(self, step: Step) -> Outcome:
        """memory M 100 [pool=paged] [tag=Capt] [parent=P]."""
        pool = POOL_TYPES[step.options.get("pool")]
        status, memory, buffer = wdf.WdfMemoryCreate(
            self.attributes(step), pool, self.tag_of(step), step.number(1)
        )
        assert (buffer is None) == (memory is None)
        return self.keep(step, status, memory)

    def do_preallocated(self, step: Step) -> Outcome:
        """preallocated M B 64 [parent=P]."""
        buffer = self.thing(step.arguments[1])
        made = wdf.WdfMemoryCreatePreallocated(self.attributes(step), buffer, step.number(2))
        return self.keep(step, *made)

    def do_list(self, step: Step) -> Outcome:
        """list L 100 [pool=paged] [tag=Capt] [parent=P] [memory_parent=Q] [memory_context=T]."""
        memory = Step(step.text, "memory", (f"{step.arguments[0]}.memory",), {}, None)
        of_memory = self.attributes(memory)
        of_memory.EvtCleanupCallback = lambda m: self.run.callback(f"c:{self.name_of(m)}")
        of_memory.EvtDestroyCallback = lambda m: self.run.callback(f"d:{self.name_of(m)}")
        of_memory.ParentObject = self.thing(step.options.get("memory_parent"))
        if "memory_context" in step.options:
            kind = self.context_type(step.options["memory_context"])
            wdf.WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(of_memory, kind)
        if "memory_override" in step.options:
            of_memory.ContextSizeOverride = number(step.options["memory_override"])
        made = wdf.WdfLookasideListCreate(
            self.attributes(step),
            step.number(1),
            POOL_TYPES[step.options.get("pool")],
            of_memory,
            self.tag_of(step),
        )
        return self.keep(step, *made)

    def name_of(self, thing: Any) -> str:
        """The name under which the case knows an object."""
        return next((name for name, known in self.things.items() if known is thing), "?")

    def do_take(self, step: Step) -> Outcome:
        """take M L."""
        made = wdf.WdfMemoryCreateFromLookaside(self.thing(step.arguments[1]))
        return self.keep(step, *made)

    def do_collection(self, step: Step) -> Outcome:
        """collection C [parent=P] [level=2]."""
        return self.keep(step, *wdf.WdfCollectionCreate(self.attributes(step)))

    def do_spin_lock(self, step: Step) -> Outcome:
        """spin_lock S [parent=P] [level=2]."""
        return self.keep(step, *wdf.WdfSpinLockCreate(self.attributes(step)))

    def do_wait_lock(self, step: Step) -> Outcome:
        """wait_lock W [parent=P] [level=2]."""
        return self.keep(step, *wdf.WdfWaitLockCreate(self.attributes(step)))

    # ---- using -----------------------------------------------------------------------------------

    def do_delete(self, step: Step) -> None:
        """delete X."""
        wdf.WdfObjectDelete(self.thing(step.arguments[0]))

    def do_reference(self, step: Step) -> None:
        """reference X [tag=A]."""
        wdf.WdfObjectReferenceWithTag(self.thing(step.arguments[0]), step.options.get("tag"))

    def do_dereference(self, step: Step) -> None:
        """dereference X [tag=A]."""
        wdf.WdfObjectDereferenceWithTag(self.thing(step.arguments[0]), step.options.get("tag"))

    def do_add(self, step: Step) -> Outcome:
        """add C X."""
        collection, thing = map(self.thing, step.arguments)
        return Outcome(status_name(wdf.WdfCollectionAdd(collection, thing)))

    def do_remove(self, step: Step) -> None:
        """remove C X."""
        wdf.WdfCollectionRemove(*map(self.thing, step.arguments))

    def do_remove_item(self, step: Step) -> None:
        """remove_item C 0."""
        wdf.WdfCollectionRemoveItem(self.thing(step.arguments[0]), step.number(1))

    def do_items(self, step: Step) -> str:
        """items C: what every call that looks agrees on."""
        collection = self.thing(step.arguments[0])
        count = wdf.WdfCollectionGetCount(collection)
        items = [wdf.WdfCollectionGetItem(collection, i) for i in range(count)]
        assert wdf.WdfCollectionGetItem(collection, count) is None
        first = wdf.WdfCollectionGetFirstItem(collection)
        assert (first, wdf.WdfCollectionGetLastItem(collection)) == ends(items)
        return self.names_of(items)

    def do_acquire(self, step: Step) -> Outcome:
        """acquire S, or acquire W 0: a spin lock, or a wait lock with its timeout."""
        lock = self.thing(step.arguments[0])
        if len(step.arguments) == 1 and not isinstance(lock, wdf.WDFWAITLOCK):
            wdf.WdfSpinLockAcquire(lock)
            return Outcome()
        timeout = step.number(1) if len(step.arguments) > 1 else None
        return Outcome(status_name(wdf.WdfWaitLockAcquire(lock, timeout)))

    def do_release(self, step: Step) -> None:
        """release S: a lock of either kind."""
        lock = self.thing(step.arguments[0])
        wait = isinstance(lock, wdf.WDFWAITLOCK)
        (wdf.WdfWaitLockRelease if wait else wdf.WdfSpinLockRelease)(lock)

    def do_acquire_lock(self, step: Step) -> None:
        """acquire_lock X."""
        wdf.WdfObjectAcquireLock(self.thing(step.arguments[0]))

    def do_release_lock(self, step: Step) -> None:
        """release_lock X."""
        wdf.WdfObjectReleaseLock(self.thing(step.arguments[0]))

    def do_query(self, step: Step) -> Outcome:
        """query X: for an extension of the framework."""
        status = wdf.WdfObjectQuery(self.thing(step.arguments[0]), None, 0, None)
        return Outcome(status_name(status))

    def do_assign(self, step: Step) -> Outcome:
        """assign M B 64."""
        memory, buffer = self.thing(step.arguments[0]), self.thing(step.arguments[1])
        return Outcome(status_name(wdf.WdfMemoryAssignBuffer(memory, buffer, step.number(2))))

    def do_copy_to(self, step: Step) -> Outcome:
        """copy_to M 0 100 [buffer=B]."""
        memory, count = self.thing(step.arguments[0]), step.number(2)
        buffer = self.buffer_for(step, count)
        status = wdf.WdfMemoryCopyToBuffer(memory, step.number(1), buffer, count)
        return Outcome(status_name(status))

    def do_copy_from(self, step: Step) -> Outcome:
        """copy_from M 0 100 [buffer=B]."""
        memory, count = self.thing(step.arguments[0]), step.number(2)
        buffer = self.buffer_for(step, count)
        status = wdf.WdfMemoryCopyFromBuffer(memory, step.number(1), buffer, count)
        return Outcome(status_name(status))

    def do_size(self, step: Step) -> int:
        """size M, as GetBuffer answers it; the pointer must show as much."""
        pointer, size = wdf.WdfMemoryGetBuffer(self.thing(step.arguments[0]))
        assert len(pointer) == pointer.size == size
        return size

    def do_part(self, step: Step) -> Any:
        """part M 50 50."""
        offsets = wdf.WDFMEMORY_OFFSET(step.number(1), step.number(2))
        status, found = describe_part(self.thing(step.arguments[0]), offsets)
        return Outcome(status_name(status)) if found is None else (found.offset, found.length)

    # ---- pool and arithmetic ---------------------------------------------------------------------

    def do_ex(self, step: Step) -> str | None:
        """ex P ExAllocatePoolWithTag PagedPool 100 b'Capt': "block", or None for NULL."""
        name, function, *words = step.arguments
        made = getattr(wdf, function)(*map(self.word, words))
        if made is None:
            return None
        self.things[name] = made
        return "block"

    def do_ex_memory(self, step: Step) -> int:
        """ex_memory M NonPagedPool: a memory object of a pool type; the pool it came from."""
        name, pool_type = step.arguments
        _, memory, _ = wdf.WdfMemoryCreate(None, self.word(pool_type), 0, 100)
        self.things[name] = memory
        return int(self.things[name].pool)

    def do_free(self, step: Step) -> None:
        """free P [tag=Capt]."""
        pointer = self.thing(step.arguments[0])
        if "tag" in step.options:
            wdf.ExFreePoolWithTag(pointer, step.options["tag"].encode())
        else:
            wdf.ExFreePool(pointer)

    def do_middle(self, step: Step) -> None:
        """middle N P 8: the pointer P + 8, as an address."""
        name, pointer = step.arguments[:2]
        self.things[name] = self.thing(pointer).address + step.number(2)

    def word(self, text: str) -> Any:
        """An argument of an Ex call: a tag in quotes, an expression of numbers, or constants."""
        if text.startswith("'"):
            return text.strip("'").encode()
        if text in NUMBERS or text[0].isdigit():
            return number(text)
        total = 0
        for name in text.split("|"):
            total |= number(name) if name[0].isdigit() else int(getattr(wdf, name))
        return total

    def do_align_up(self, step: Step) -> int:
        """align_up L A."""
        return wdf.WDF_ALIGN_SIZE_UP(step.number(0), step.number(1))

    def do_align_down(self, step: Step) -> int:
        """align_down L A."""
        return wdf.WDF_ALIGN_SIZE_DOWN(step.number(0), step.number(1))

    # ---- contexts --------------------------------------------------------------------------------

    def context_type(self, kind: str) -> wdf.WDF_OBJECT_CONTEXT_TYPE_INFO:
        """The record of a context type of a row."""
        record = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName=kind, ContextSize=CONTEXT_SIZE)
        found: wdf.WDF_OBJECT_CONTEXT_TYPE_INFO = self.things.setdefault(f"type {kind}", record)
        return found

    def do_context(self, step: Step) -> Outcome:
        """context X T [parent=P] [override=n]: add one, with callbacks c:X.T and d:X.T.

        T is "none" for attributes without a type, "NULL" for no attributes.
        """
        owner, kind = step.arguments
        typed = kind not in ("none", "NULL")
        options = {**step.options, **({"context": kind} if typed else {})}
        attributes = self.attributes(Step(step.text, "", (f"{owner}.{kind}",), options, None))
        attributes.EvtCleanupCallback = lambda _: self.run.callback(f"c:{owner}.{kind}")
        attributes.EvtDestroyCallback = lambda _: self.run.callback(f"d:{owner}.{kind}")
        given = None if kind == "NULL" else attributes
        status, context = wdf.WdfObjectAllocateContext(self.thing(owner), given)
        if status == wdf.STATUS_OBJECT_NAME_EXISTS:
            present = wdf.WdfObjectGetTypedContext(self.thing(owner), self.context_type(kind))
            assert context is present
        return Outcome(status_name(status))

    def do_has_context(self, step: Step) -> bool:
        """has_context X T."""
        owner, kind = step.arguments
        found = wdf.WdfObjectGetTypedContext(self.thing(owner), self.context_type(kind))
        return found is not None

    def do_context_bytes(self, step: Step) -> bytes:
        """context_bytes X T."""
        owner, kind = step.arguments
        return bytes(wdf.WdfObjectGetTypedContext(self.thing(owner), self.context_type(kind)))

    def do_context_write(self, step: Step) -> None:
        """context_write X T 0 0x41: one byte."""
        owner, kind = step.arguments[:2]
        space = wdf.WdfObjectGetTypedContext(self.thing(owner), self.context_type(kind))
        space[step.number(2)] = step.number(3)

    def do_owner_of_context(self, step: Step) -> str:
        """owner_of_context X T: the name of the object that the context leads back to."""
        owner, kind = step.arguments
        space = wdf.WdfObjectGetTypedContext(self.thing(owner), self.context_type(kind))
        return self.name_of(wdf.WdfObjectContextGetObject(space))
