"""Transactions: one run of bytes between a device and memory, in as many transfers as it takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.base.integers import exact_index
from membuf.dma import arguments
from membuf.dma.engine import Job, TransactionEngine
from membuf.dma.run import Bytes, make, transfer_info
from membuf.dma.states import TransactionState

if TYPE_CHECKING:
    from membuf.dma.enabler import Enabler
    from membuf.dma.protocols import MdlLike
    from membuf.dma.run import Program

S = TransactionState


class TransferContext:
    """What stands for a transaction at the system's adapter; opaque (DMA_TRANSFER_CONTEXT).

    >>> import membuf, membuf.dma
    >>> t = membuf.dma.Enabler(membuf.Object(name="nic")).transaction()
    >>> t.transfer_context is None
    True
    """

    __slots__ = ()


class Transaction(TransactionEngine):
    """A run of bytes of an MDL chain, moved between a device and memory.

    Made by `Enabler.transaction`. Every call may come from any thread; what the framework answers
    with a bug check raises `InvalidDeviceStateError` and changes nothing.

    Source: WdfDmaTransactionCreate, and section 3.5 of the specification.

    >>> import membuf, membuf.dma
    >>> def program(transaction, device, context, direction, elements):
    ...     print(context, direction.name, [element.length for element in elements])
    >>> device = membuf.Object(name="nic")
    >>> enabler = membuf.dma.Enabler(device, maximum_length=65536)
    >>> t = enabler.transaction()
    >>> mdl = membuf.Mdl(membuf.Memory(5000, alignment=4096))
    >>> t.initialize(program, membuf.dma.WRITE_TO_DEVICE, mdl)
    >>> t.execute("ctx")
    ctx WRITE_TO_DEVICE [4096, 904]
    >>> t.completed(), t.bytes_transferred, t.state.name
    (True, 5000, 'TRANSFER_COMPLETED')
    >>> t.release(); device.delete()
    """

    # ---- looking --------------------------------------------------------------------------------

    @property
    def enabler(self) -> Enabler:
        """The enabler that made it."""
        return self._enabler

    @property
    def device(self) -> Object:
        """The device of its enabler (WdfDmaTransactionGetDevice)."""
        return self._enabler.device

    @property
    def state(self) -> TransactionState:
        """Where it stands."""
        return self._state

    @property
    def request(self) -> Any:
        """The request it was initialised with, until its release (WdfDmaTransactionGetRequest)."""
        run = self._run
        return None if run is None else run.request

    @property
    def direction(self) -> Any:
        """Which way the data goes; None before it is initialised and after its release."""
        run = self._run
        return None if run is None else run.direction

    @property
    def bytes_transferred(self) -> int:
        """What completed transfers moved, until its release."""
        run = self._run
        return 0 if run is None else run.transferred

    @property
    def current_length(self) -> int:
        """The bytes of the transfer under way (WdfDmaTransactionGetCurrentDmaTransferLength)."""
        run = self._run
        return 0 if run is None else run.current

    @property
    def transfer_context(self) -> TransferContext | None:
        """What stands for it at the adapter; None while created or released, and with version 2.

        Source: WdfDmaTransactionWdmGetTransferContext.
        """
        idle = self._state in (S.CREATED, S.RELEASED)
        return None if idle or self._enabler.dma_version < 3 else _CONTEXT

    def transfer_info(self) -> tuple[int, int]:
        """The map registers and the elements that its bytes need, while it is initialised.

        Source: WdfDmaTransactionGetTransferInfo.
        """
        with self._lock:
            return transfer_info(self._need("transfer_info"))

    # ---- settings -------------------------------------------------------------------------------

    def set_maximum_length(self, length: SupportsIndex) -> None:
        """Let no later transfer of this run be longer.

        A length that is not below the fragment length has no effect.

        Source: WdfDmaTransactionSetMaximumLength.
        """
        length = exact_index(length, "length")
        with self._lock:
            run = self._run
            if run is None or not self._heeds("set_maximum_length"):
                return
            if 0 < length < self._enabler.fragment_length(run.direction):
                run.limit = length

    def set_immediate_execution(self, immediate: bool) -> None:
        """Let `execute` fail rather than wait for map registers, until its release (version 3)."""
        if self._needs_version_3("set_immediate_execution"):
            self._expects("set_immediate_execution")
            self._immediate = bool(immediate)

    def set_single_transfer(self, required: bool) -> None:
        """Let an initialisation refuse what does not go in one transfer, until its release.

        Source: WdfDmaTransactionSetSingleTransferRequirement (version 3).
        """
        if self._needs_version_3("set_single_transfer") and self._heeds("set_single_transfer"):
            self._single = bool(required)

    # ---- initialisation -------------------------------------------------------------------------

    def initialize(
        self,
        program: Program,
        direction: int,
        mdl: MdlLike,
        address: SupportsIndex | None = None,
        length: SupportsIndex | None = None,
    ) -> None:
        """Say what to move, and who programs the device.

        Args:
            program: called for each transfer as program(transaction, device, context, direction,
                elements); it starts the device and returns.
            direction: READ_FROM_DEVICE or WRITE_TO_DEVICE.
            mdl: the first MDL of a chain.
            address: of the first byte, inside the first MDL; None for its first.
            length: bytes; None for all from there to the end of the chain.

        Raises:
            InvalidParameterError: no byte, another direction, an address outside the first MDL, or
                a packet device of version 2 and more than one MDL; nothing has changed.
            BufferTooSmallError: the chain is shorter.
            MembufError: WDF_TOO_FRAGMENTED, or it does not go in the one transfer it may take.
            InvalidDeviceStateError: it is initialised or under way (bug check 10D, 8).

        Source: WdfDmaTransactionInitialize.
        """
        arguments.check_given(program, mdl)
        first = mdl.address
        start = (first if address is None else exact_index(address, "address")) - first
        self._initialize(program, direction, mdl, start, length)

    def initialize_using_offset(
        self,
        program: Program,
        direction: int,
        mdl: MdlLike,
        offset: SupportsIndex,
        length: SupportsIndex | None = None,
    ) -> None:
        """As `initialize`, by an offset, which must lie inside the first MDL too.

        Source: WdfDmaTransactionInitializeUsingOffset.
        """
        arguments.check_given(program, mdl)
        start = exact_index(offset, "offset")
        self._initialize(program, direction, mdl, start, length)

    def initialize_using_request(self, request: Any, program: Program, direction: int) -> None:
        """As `initialize`, over the buffer of a request.

        The request is held from `execute` until the transaction ends.

        Raises:
            InvalidDeviceStateError: the wrong direction for the request (INVALID_DEVICE_REQUEST),
                or a request of another kind.
            BufferTooSmallError: it has no buffer.

        Source: WdfDmaTransactionInitializeUsingRequest.
        """
        arguments.check_program(program)
        arguments.check_direction(direction)
        mdl, length = arguments.buffer_of(request, direction, strict=self._enabler.strict)
        arguments.check_one_mdl(self._enabler, mdl, 0, length)
        self._start(program, direction, Bytes(mdl, 0, length), request)

    def _initialize(
        self,
        program: Program,
        direction: int,
        mdl: MdlLike,
        start: int,
        length: SupportsIndex | None,
    ) -> None:
        whole = arguments.chain_length(mdl) - start
        size = whole if length is None else exact_index(length, "length")
        arguments.check_bytes(direction, mdl, start, size)
        arguments.check_one_mdl(self._enabler, mdl, start, size)
        self._start(program, direction, Bytes(mdl, start, size), None)

    def _start(self, program: Program, direction: int, part: Bytes, request: Any) -> None:
        way = arguments.check_direction(direction)
        with self._lock:
            self._need("initialize")
            self._enabler.check_mdls(part)
            try:
                self._run = make(
                    self._enabler,
                    program,
                    way,
                    part,
                    request,
                    self.label,
                    reserved=self._reserved,
                    single=self._single,
                )
            except MembufError:
                self._clear()
                raise
            self._state = S.INITIALIZED

    # ---- execution ------------------------------------------------------------------------------

    def execute(self, context: Any = None) -> None:
        """Start the first transfer; the others follow from the completions.

        The program callback runs before this returns, on this thread, unless map registers are
        waited for, or this is called from a program callback, which then ends first.

        A program callback that raises has started nothing: the transaction has failed. What it
        raises comes out of the call that it runs in; where it had to wait it goes to
        `sys.unraisablehook`.

        Args:
            context: handed to the program callback.

        Raises:
            InsufficientResourcesError: it may not wait for map registers and there are none, or no
                memory to bounce in.
            MembufError: WDF_BUSY, a packet device of version 2 has another one under way.
            InvalidDeviceStateError: it is not initialised (bug check 10D, 8).

        Source: WdfDmaTransactionExecute.
        """
        after: list[Job] = []
        try:
            with self._lock:
                run = self._need("execute")
                run.context = context
                if run.request is not None:
                    run.request.reference(self.label)
                    run.holding_request = True
                self._state = S.TRANSFER
                try:
                    self._enabler.begin(self)
                    after += self._stage(run)
                except MembufError:
                    after += self._end(run, S.TRANSFER_FAILED)
                    raise
        finally:
            self._enabler.dispatch(after)

    def completed(self) -> bool:
        """The device has moved all the bytes of the transfer.

        Returns:
            True where the transaction has ended, False where another transfer was started.

        Raises:
            MembufError: the transaction has ended, with this status.
            InvalidDeviceStateError: no transfer is under way (bug check 10D, 8).

        Source: WdfDmaTransactionDmaCompleted.
        """
        return self._complete(None, final=False)

    def completed_with_length(self, length: SupportsIndex) -> bool:
        """The device has moved so many bytes of the transfer; the others follow with the next.

        Source: WdfDmaTransactionDmaCompletedWithLength.
        """
        return self._complete(exact_index(length, "length"), final=False)

    def completed_final(self, length: SupportsIndex) -> bool:
        """The device has moved so many bytes of the transfer, and that was the last one.

        Source: WdfDmaTransactionDmaCompletedFinal.
        """
        return self._complete(exact_index(length, "length"), final=True)

    def cancel(self) -> bool:
        """Give up the wait for map registers.

        Returns:
            Whether it waited: then no callback follows. Where the device may be at work it is
            False, and the driver ends the transaction with `completed_final`.

        Source: WdfDmaTransactionCancel (version 3).
        """
        if not self._needs_version_3("cancel"):
            return False
        with self._lock:
            self._need("cancel")
            cancelled, after = self._cancelled()
        self._enabler.dispatch(after)
        return cancelled

    def release(self) -> None:
        """Forget what it was initialised with; reserved map registers stay.

        Raises:
            InvalidDeviceStateError: a transfer is under way and the verifier is on (10D, 8);
                without it the transfer is given up.

        Source: WdfDmaTransactionRelease.
        """
        with self._lock:
            self._refuse_deleted("release")
            self._refuse_under_way("release")
            self._expects("release")
            waited = self._state == S.RESERVED
            after = self._give_up() + (self._stop_reserving()[1] if waited else [])
            self._clear()
        self._enabler.dispatch(after)

    # ---- reservations ---------------------------------------------------------------------------

    def allocate_resources(
        self,
        direction: int,
        count: SupportsIndex,
        reserved: Callable[[Transaction, Any], object],
        context: Any = None,
    ) -> None:
        """Reserve map registers, for this transaction's runs until `free_resources`.

        Args:
            direction: whose registers.
            count: how many; 0 for as many as an initialised transaction needs.
            reserved: called as reserved(transaction, context) when they are.
            context: handed to it.

        Raises:
            InvalidDeviceStateError: not a packet device of version 3 (INVALID_DEVICE_REQUEST), or
                reserved already or under way (bug check 10D, 8).
            InsufficientResourcesError: more than there are; the transaction has failed.

        Source: WdfDmaTransactionAllocateResources.
        """
        count = exact_index(count, "count")
        arguments.check_program(reserved)
        way = arguments.check_direction(direction)
        if not self._enabler.profile.packet or not self._needs_version_3("allocate_resources"):
            raise from_status(
                st.STATUS_INVALID_DEVICE_REQUEST,
                f"{self!r}: only packet devices of version 3 reserve map registers",
            )
        with self._lock:
            after = self._reserve(way, count, partial(reserved, self, context))
        self._enabler.dispatch(after)

    def free_resources(self) -> None:
        """Give reserved map registers back; what it was initialised with is forgotten.

        Source: WdfDmaTransactionFreeResources.
        """
        if not self._needs_version_3("free_resources"):
            return
        with self._lock:
            self._need("free_resources")
            after = self._give_up() + self._unreserve()
            self._clear()
        self._enabler.dispatch(after)

    def delete(self) -> None:
        """Delete it; with the verifier on not while a transfer is under way (bug check 10D, 8)."""
        self._refuse_under_way("delete")
        super().delete()


_CONTEXT = TransferContext()
