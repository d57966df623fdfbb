"""Memory over the caller's own buffers, changed under it by assign_buffer, against plain bytes."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import membuf
from tests.model import memory as model

SIZES = st.integers(1, 40)
OFFSETS = st.integers(0, 45)
SOURCES = st.binary(max_size=45)


class Preallocated(RuleBasedStateMachine):
    """One memory object; every buffer it ever stood over, with what it must contain."""

    def __init__(self) -> None:
        super().__init__()
        self.buffers: list[tuple[bytearray, bytearray]] = []
        self.views: list[tuple[memoryview, bytearray]] = []

    @initialize(size=SIZES)
    def create(self, size: int) -> None:
        """Over a first buffer."""
        self.memory = membuf.Memory.preallocated(self.new_buffer(size))

    def new_buffer(self, size: int) -> bytearray:
        """A buffer, and beside it the bytes that the model says it has."""
        content = bytes(range(size))
        self.buffers.append((bytearray(content), bytearray(content)))
        return self.buffers[-1][0]

    @rule(size=SIZES)
    def assign(self, size: int) -> None:
        """The memory moves to a new buffer; the old one is the caller's, as it was."""
        self.memory.assign_buffer(self.new_buffer(size))

    @rule()
    def assign_nothing(self) -> None:
        """An empty buffer is refused, and the old one stays."""
        with pytest.raises(membuf.InvalidParameterError):
            self.memory.assign_buffer(bytearray())

    @rule()
    def look(self) -> None:
        """A view belongs to the buffer it was opened on, not to the memory's later ones."""
        self.views.append((self.memory.buffer, self.buffers[-1][1]))

    @rule(source=SOURCES, offset=OFFSETS)
    def copy_from(self, source: bytes, offset: int) -> None:
        """Only the current buffer is written."""
        status = model.copy_from(self.buffers[-1][1], source, offset)
        if status == model.SUCCESS:
            self.memory.copy_from(source, offset)
            return
        with pytest.raises(membuf.MembufError) as caught:
            self.memory.copy_from(source, offset)
        assert int(caught.value.status) == status

    @invariant()
    def bytes_agree(self) -> None:
        """Every buffer has the bytes of its model; sizes are the current buffer's."""
        for real, expected in self.buffers:
            assert real == expected
        for view, expected in self.views:
            assert view == expected
        if self.buffers:
            assert self.memory.size == len(self.memory) == len(self.buffers[-1][0])

    def teardown(self) -> None:
        """Deleting the memory frees none of the caller's buffers."""
        self.memory.delete()
        self.bytes_agree_after_delete()

    def bytes_agree_after_delete(self) -> None:
        """The buffers, resizable again once no view is left."""
        for view, _ in self.views:
            view.release()
        for real, expected in self.buffers:
            assert real == expected
            real.append(0)


TestPreallocated = Preallocated.TestCase
