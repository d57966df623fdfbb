"""How a transaction runs: from one transfer to the next, to its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.dma.errors import DMA_FATAL_ERROR, WDF_VIOLATION, invalid
from membuf.dma.run import Run
from membuf.dma.states import EXPECTED, HEEDED, LEGAL, TransactionState
from membuf.request.reports import report

if TYPE_CHECKING:
    from membuf.dma.enabler import Enabler

log = logging.getLogger("membuf.dma")
log.addHandler(logging.NullHandler())

S = TransactionState
Job = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Drop:
    """The end of a reference, called as soon as no lock is held."""

    held: Object
    tag: str

    def __call__(self) -> None:
        """Drop it."""
        self.held.dereference(self.tag)


class TransactionEngine(Object):
    """The machine behind a transaction's calls.

    Its methods run with the lock held unless they say otherwise; none calls out meanwhile. What is
    due outside (program callbacks, dropped references) they answer as jobs for `Enabler.dispatch`.
    """

    def __init__(
        self,
        enabler: Enabler,
        *,
        name: str | None = None,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> None:
        self._enabler = enabler
        self._lock = threading.Lock()
        self._state = S.CREATED
        self._run: Run | None = None
        self._reserved = 0
        self._reserving: Job | None = None
        self._reserved_from = 0
        self._immediate = False
        self._single = enabler.single_transfer
        self._on_cleanup, self._on_destroy = on_cleanup, on_destroy
        self.label = f"transaction {name or hex(id(self))}"
        cleaned_up, destroyed = TransactionEngine._cleaned_up, TransactionEngine._destroyed
        super().__init__(name, parent=enabler, on_cleanup=cleaned_up, on_destroy=destroyed)

    @property
    def under_way(self) -> bool:
        """Whether it is executed and has not ended."""
        return self._state == S.TRANSFER

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The virtual addresses that it has mapped, each run by its first and one past its last."""
        run = self._run
        return [] if run is None else [one.addresses for one in run.mapped]

    @property
    def holds_registers(self) -> bool:
        """Whether it has reserved map registers."""
        return self._reserved > 0

    # ---- what is legal --------------------------------------------------------------------------

    def _need(self, call: str) -> Any:
        """Stop where the call is illegal; else what the transaction was initialised with."""
        self._refuse_deleted(call)
        if self._state not in LEGAL[call]:
            raise self._stop(call)
        return self._run

    def _refuse_deleted(self, call: str) -> None:
        if self._state == S.DELETED:
            self.reference_count  # noqa: B018 - raises where no reference keeps the object
            raise self._stop(call)

    def _stop(self, call: str) -> MembufError:
        return from_status(
            st.STATUS_INVALID_DEVICE_STATE,
            f"{call} of {self.label} in state {self._state.name}",
            bugcheck=(WDF_VIOLATION, DMA_FATAL_ERROR, id(self), self._state, 0),
        )

    def _refuse_under_way(self, call: str) -> None:
        if self._state == S.TRANSFER and self._enabler.verifier:
            raise self._stop(call)

    def _heeds(self, call: str) -> bool:
        heeded = self._state in HEEDED[call]
        if not heeded:
            log.warning("%s of %s in state %s: ignored", call, self.label, self._state.name)
        return heeded

    def _expects(self, call: str) -> None:
        if self._state not in EXPECTED[call]:
            log.warning("%s of %s in state %s", call, self.label, self._state.name)

    def _needs_version_3(self, call: str) -> bool:
        enough = self._enabler.dma_version >= 3
        if not enough:
            log.warning("%s of %s needs DMA version 3: ignored", call, self.label)
        return enough

    # ---- starting and ending --------------------------------------------------------------------

    def _stage(self, run: Run) -> list[Job]:
        """Make the next transfer ready; its program callback is due, or it waits for registers."""
        split = run.next_split()
        run.prepare(split)
        program = partial(self._program, run)
        if run.reserved or run.held:
            return [program]
        run.granted = program
        adapter = self._enabler.adapter(run.direction)
        if adapter.take(split.registers, None if self._immediate else program):
            run.took_registers()
            return [program]
        if self._immediate:
            run.granted = None
            raise from_status(
                st.STATUS_INSUFFICIENT_RESOURCES,
                f"{self.label} needs {split.registers} map registers at once, "
                f"{adapter.free} of {adapter.total} are free",
                {"needed": split.registers, "available": adapter.free},
            )
        return []

    def _end(self, run: Run, state: TransactionState) -> list[Job]:
        """The run is over: let go of everything but what can still be asked."""
        self._state = state
        run.current = 0
        run.programmed = False
        run.unmap()
        self._enabler.ended(self)
        after: list[Job] = [*self._free_registers(run)]
        if run.holding_request:
            run.holding_request = False
            after.append(Drop(run.request, self.label))
        return after

    def _clear(self) -> None:
        self._run = None
        self._immediate = False
        self._single = self._enabler.single_transfer
        self._state = S.RELEASED

    def _give_up(self) -> list[Job]:
        """End what is under way or waited for, without a further callback."""
        run = self._run
        if run is None:
            return []
        if self._state != S.TRANSFER:
            run.unmap()
            return []
        _, after = self._stop_waiting(run)
        if run.transfer is not None:
            run.transfer.stop()
        return after + self._end(run, S.TRANSFER_FAILED)

    def _finish(self, run: Run, length: int | None, *, final: bool) -> list[Job]:
        """Flush the transfer and count it; then the next one, or the end."""
        moved = run.current if length is None else length
        if not 0 <= moved <= run.current:
            message = f"{moved} bytes completed of a transfer of {run.current}"
            log.warning("%s: %s", self.label, message)
            raise Ended(invalid(message, length=moved, current=run.current), self._give_up())
        run.flush(moved)
        after = [] if self._enabler.profile.packet else self._free_registers(run)
        status, message = run.ending(final=final)
        if status == st.STATUS_SUCCESS:
            return after + self._end(run, S.TRANSFER_COMPLETED)
        try:
            if status is not None:
                raise from_status(status, f"{self.label}: {message}")
            return after + self._stage(run)
        except MembufError as error:
            raise Ended(error, after + self._end(run, S.TRANSFER_FAILED)) from None

    # ---- map registers --------------------------------------------------------------------------

    def _free_registers(self, run: Run) -> list[Job]:
        held, run.held = run.held, 0
        return self._enabler.adapter(run.direction).give_back(held) if held else []

    def _stop_waiting(self, run: Run) -> tuple[bool, list[Job]]:
        """Wait no longer; whether it did, and whose turn has come thereby."""
        if run.granted is None:
            return False, []
        stopped, after = self._enabler.adapter(run.direction).withdraw(run.granted)
        if stopped:
            run.granted = None
        return stopped, after

    def _cancelled(self) -> tuple[bool, list[Job]]:
        """Give up a wait; whether there was one."""
        run = self._run
        if self._state == S.RESERVED:
            cancelled, after = self._stop_reserving()
            self._state = S.TRANSFER_FAILED if cancelled else self._state
            return cancelled, after
        if self._state != S.TRANSFER or run is None:
            return False, []
        cancelled, after = self._stop_waiting(run)
        return cancelled, after + (self._end(run, S.TRANSFER_FAILED) if cancelled else [])

    def _reserve(self, direction: int, count: int, reserved: Job) -> list[Job]:
        run = self._need("allocate_resources" if count else "allocate_resources of what it needs")
        if self._reserved or self._reserving:
            raise self._stop("a second allocate_resources")
        if run is not None and self._state == S.INITIALIZED:
            count = count or run.next_split().registers
            run.unmap()
        self._run = None
        adapter = self._enabler.adapter(direction)
        if not 0 < count <= adapter.total:
            self._state = S.TRANSFER_FAILED
            raise from_status(
                st.STATUS_INSUFFICIENT_RESOURCES,
                f"{count} map registers to reserve, the device has {adapter.total}",
                {"needed": count, "available": adapter.total},
            )
        self._state, self._reserved_from = S.RESERVED, direction
        self._reserving = partial(self._reservation_granted, count, reserved)
        if not adapter.take(count, self._reserving):
            return []
        self._reserving, self._reserved = None, count
        return [reserved]

    def _stop_reserving(self) -> tuple[bool, list[Job]]:
        """Wait no longer for a reservation; whether it did, and whose turn has come thereby."""
        if self._reserving is None:
            return False, []
        stopped, after = self._enabler.adapter(self._reserved_from).withdraw(self._reserving)
        self._reserving = None
        return stopped, after

    def _unreserve(self) -> list[Job]:
        _, after = self._stop_reserving()
        held, self._reserved = self._reserved, 0
        return after + (self._enabler.adapter(self._reserved_from).give_back(held) if held else [])

    # ---- jobs: called without the lock ----------------------------------------------------------

    def _reservation_granted(self, count: int, reserved: Job) -> None:
        with self._lock:
            if self._reserving is None:  # given up meanwhile
                after = self._enabler.adapter(self._reserved_from).give_back(count)
            else:
                self._reserving, self._reserved = None, count
                after = [partial(self._late, reserved)]
        self._enabler.dispatch(after)

    def _late(self, reserved: Job) -> None:
        """Call back for a reservation that had to wait: nobody waits for what it raises."""
        try:
            reserved()
        except Exception as error:  # noqa: BLE001 - handed on
            report(error, f"the reservation callback of {self.label}")

    def _program(self, run: Run) -> None:
        """Start the device on the transfer that is ready: its map registers are granted."""
        with self._lock:
            waited = run.granted is not None
            if waited:
                run.took_registers()
            under_way = self._run is run and self._state == S.TRANSFER
            after = [] if under_way else self._free_registers(run)  # given up meanwhile
            elements = run.begin() if under_way else ()
        if not under_way:
            self._enabler.dispatch(after)
            return
        try:
            run.program(self, self._enabler.device, run.context, run.direction, elements)
        except BaseException as error:
            self._program_failed(run)
            if not (waited and isinstance(error, Exception)):
                raise
            # Whoever gave its map registers back is not the one to tell.
            report(error, f"the program callback of {self.label}")

    def _program_failed(self, run: Run) -> None:
        """A program callback that raises has started nothing: the transaction fails."""
        after: list[Job] = []
        with self._lock:
            if self._run is run and self._state == S.TRANSFER:
                after = self._give_up()
        self._enabler.dispatch(after)

    def _complete(self, length: int | None, *, final: bool) -> bool:
        after: list[Job] = []
        try:
            with self._lock:
                run = self._need("completed")
                if not run.programmed:
                    raise self._stop("completed, with no transfer at the device,")
                after += self._finish(run, length, final=final)
                return self._state != S.TRANSFER
        except Ended as ended:
            after += ended.after
            raise ended.error from None
        finally:
            self._enabler.dispatch(after)

    # ---- the end of the object ------------------------------------------------------------------

    def _cleaned_up(self) -> None:
        """The deletion begins: the user's callback first, then nothing is under way any more."""
        try:
            if self._on_cleanup is not None:
                self._on_cleanup(self)
        finally:
            with self._lock:
                after = self._give_up() + self._unreserve()
                self._run = None
                self._state = S.DELETED
            self._enabler.keep_for(self)
            self._enabler.dispatch(after)

    def _destroyed(self) -> None:
        try:
            if self._on_destroy is not None:
                self._on_destroy(self)
        finally:
            self._enabler.let_go_of(self)


class Ended(Exception):  # noqa: N818 - not an error: how an end with a status leaves the lock
    """The transaction has ended with an error, and these jobs are due."""

    def __init__(self, error: MembufError, after: list[Job]) -> None:
        super().__init__()
        self.error, self.after = error, after
