"""Enablers: what a device can do by DMA, and what its transactions share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex
from weakref import WeakValueDictionary

from membuf._native import Object
from membuf.base import status as st
from membuf.base.errors import from_status
from membuf.base.integers import exact_index
from membuf.dma import verification
from membuf.dma.backends import Access, Backend, backend_of
from membuf.dma.capabilities import capabilities
from membuf.dma.common_buffer import CommonBuffer
from membuf.dma.engine import Drop, Job, TransactionEngine
from membuf.dma.errors import invalid
from membuf.dma.power import PowerCallbacks, PowerSequence
from membuf.dma.profiles import Direction, Profile
from membuf.dma.registers import MapRegisters
from membuf.dma.splitting import UNLIMITED
from membuf.dma.trampoline import Trampoline
from membuf.dma.transaction import Transaction
from membuf.dma.transfer import Reach, Transfer

if TYPE_CHECKING:
    from membuf.dma.run import Bytes

log = logging.getLogger("membuf.dma")


@dataclass(frozen=True, slots=True)
class DmaStatistics:
    """What an enabler counted.

    Attributes:
        transfers: started.
        bytes: of those transfers.
        bounced_bytes: of them through bounce buffers.
        elements: of the lists handed to program callbacks.
        map_registers: of an adapter.
        free_map_registers: of all adapters.
        waiting: transactions that wait for map registers.

    >>> import membuf, membuf.dma
    >>> membuf.dma.Enabler(membuf.Object(name="nic")).statistics().free_map_registers
    17
    """

    transfers: int
    bytes: int
    bounced_bytes: int
    elements: int
    map_registers: int
    free_map_registers: int
    waiting: int


class Enabler(Object):
    """What a device can do by DMA: the root of its transactions and common buffers.

    Args:
        device: whose it is.
        profile: SCATTER_GATHER_64 and its like.
        maximum_length: the most bytes of a transfer.
        dma_version: 3, or 2 for what drivers of then see: no single transfers, no immediate
            execution, no reservation, no cancel.
        address_width: the bits of an address that the device drives, where they are fewer than the
            profile says: 24 to 63; 0 for the profile's.
        map_registers: how many pages an adapter may have under way; enough for one transfer of
            `maximum_length` if absent.
        maximum_elements: the most elements of a transfer.
        alignment_mask: the low bits of an address that must be zero; scatter/gather profiles only.
        single_transfer: refuse transactions that do not go in one transfer (version 3).
        preallocate: keep room for a list in each scatter/gather transaction.
        power: called as the device starts and stops.
        backend: where device addresses come from: "sim", "self", or a `Backend`.
        verifier: DMA verification; None follows nothing, as False.
        strict: do what the framework's source does where the specification lists a difference.
        parent: the device or one of its descendants; the device if absent.
        name: for reports.
        on_cleanup: called with it as its deletion begins.
        on_destroy: called with it when its last reference is gone.

    Raises:
        InvalidParameterError: a value that the framework refuses.
        MembufError: WDF_OBJECT_ATTRIBUTES_INVALID, the parent is not below the device;
            UNSUCCESSFUL, an address width below 24.
        BackendNotAvailableError: there is no such backend here.

    Source: WdfDmaEnablerCreate, and sections 3.1 to 3.4 of the specification.

    >>> import membuf, membuf.dma
    >>> device = membuf.Object(name="nic")
    >>> enabler = Enabler(device, membuf.dma.SCATTER_GATHER_64, 65536, map_registers=16)
    >>> enabler.fragment_length(membuf.dma.READ_FROM_DEVICE), enabler.maximum_length
    (61440, 65536)
    """

    def __init__(
        self,
        device: Object,
        profile: int = Profile.SCATTER_GATHER_64,
        maximum_length: SupportsIndex = 65536,
        *,
        dma_version: int = 3,
        address_width: int = 0,
        map_registers: int | None = None,
        maximum_elements: SupportsIndex = UNLIMITED,
        alignment_mask: int = 0,
        single_transfer: bool = False,
        preallocate: bool = True,
        power: PowerCallbacks | None = None,
        backend: str | Backend = "sim",
        verifier: bool = False,
        strict: bool = False,
        parent: Object | None = None,
        name: str | None = None,
        on_cleanup: Callable[[Any], object] | None = None,
        on_destroy: Callable[[Any], object] | None = None,
    ) -> None:
        owner = check_parent(device, parent)
        self._able = capabilities(
            profile,
            maximum_length,
            address_width,
            dma_version,
            single_transfer,
            map_registers,
            alignment_mask,
        )
        self._equip(backend_of(backend))
        self._device = device
        self._preallocate = preallocate and not self._able.profile.packet
        self._power = PowerSequence(power or PowerCallbacks())
        self._verifier, self._strict = bool(verifier), bool(strict)
        super().__init__(name, parent=owner, on_cleanup=on_cleanup, on_destroy=on_destroy)
        self.set_maximum_elements(maximum_elements)
        follow_power(device, self)

    def _equip(self, backend: Backend) -> None:
        """Make what its transactions share."""
        able = self._able
        count = 2 if able.profile.duplex else 1
        self._adapters = tuple(MapRegisters(able.map_registers) for _ in range(count))
        self._backend = backend
        mask, packet = able.alignment_mask, able.profile.packet
        self._reach = Reach(backend, 1 << able.address_bits, mask, packet)
        self._maximum_elements = UNLIMITED
        self._trampoline = Trampoline()
        self._figures, self._figures_lock = (0, 0, 0, 0), threading.Lock()

    # ---- looking --------------------------------------------------------------------------------

    @property
    def device(self) -> Object:
        """Whose it is."""
        return self._device

    @property
    def profile(self) -> Profile:
        """What the device can do."""
        return self._able.profile

    @property
    def dma_version(self) -> int:
        """3 or 2."""
        return self._able.dma_version

    @property
    def maximum_length(self) -> int:
        """As configured (WdfDmaEnablerGetMaximumLength)."""
        return self._able.maximum_length

    @property
    def map_registers(self) -> int:
        """How many pages an adapter may have under way."""
        return self._able.map_registers

    @property
    def maximum_elements(self) -> int:
        """The most elements of a transfer; 0xFFFFFFFF: no limit."""
        return self._maximum_elements

    @property
    def alignment_mask(self) -> int:
        """The low bits of an address that must be zero; 0 for packet profiles."""
        return self._able.alignment_mask

    @property
    def single_transfer(self) -> bool:
        """Whether transactions must go in one transfer, unless they say otherwise."""
        return self._able.single_transfer

    @property
    def verifier(self) -> bool:
        """Whether DMA verification is on."""
        return self._verifier

    @property
    def strict(self) -> bool:
        """Whether the framework's source is followed to the letter."""
        return self._strict

    @property
    def backend(self) -> Backend:
        """Where device addresses come from."""
        return self._backend

    @property
    def guarantees(self) -> frozenset[str]:
        """What may be claimed of memory while a transaction has it mapped, or in common buffers."""
        return self._backend.guarantees

    def fragment_length(self, direction: int) -> int:
        """The most bytes of a transfer, as the map registers allow; 0 for another direction.

        Source: WdfDmaEnablerGetFragmentLength.
        """
        if direction not in (Direction.READ_FROM_DEVICE, Direction.WRITE_TO_DEVICE):
            log.warning("fragment_length of %r: no direction %r", self, direction)
            return 0
        return self._able.fragment_length

    def statistics(self) -> DmaStatistics:
        """What it counted until now."""
        free = sum(adapter.free for adapter in self._adapters)
        waiting = sum(adapter.waiting for adapter in self._adapters)
        with self._figures_lock:
            return DmaStatistics(*self._figures, self.map_registers, free, waiting)

    # ---- calls ----------------------------------------------------------------------------------

    def set_maximum_elements(self, count: SupportsIndex) -> None:
        """The most elements of a transfer, for what is initialised or staged from now on.

        Source: WdfDmaEnablerSetMaximumScatterGatherElements: 0 is ignored.
        """
        number = exact_index(count, "count")
        if number <= 0:
            log.warning("set_maximum_elements(%s) of %r: ignored", number, self)
            return
        self._maximum_elements = min(number, UNLIMITED)

    def transaction(self, *, name: str | None = None) -> Transaction:
        """A transaction, to be initialised.

        Source: WdfDmaTransactionCreate.
        """
        return Transaction(self, name=name)

    def common_buffer(
        self,
        length: SupportsIndex,
        alignment: SupportsIndex | None = None,
        *,
        name: str | None = None,
    ) -> CommonBuffer:
        """Memory that device and driver share.

        Args:
            length: bytes.
            alignment: of the device address, a power of two; the device's own if absent.
            name: for reports.

        Raises:
            InvalidParameterError: length 0, or no power of two.
            InsufficientResourcesError: no memory, or a length above 32 bits.

        Source: WdfCommonBufferCreateWithConfig.
        """
        if alignment is None:
            return CommonBuffer(self, length, name=name)
        unit = exact_index(alignment, "alignment")
        if unit <= 0 or unit & (unit - 1):
            raise invalid(f"alignment must be a power of two; got {unit}", alignment=unit)
        return CommonBuffer(self, length, unit - 1, name=name)

    def translate(self, address: int, length: int = 1, access: Access | None = None) -> memoryview:
        """The bytes behind a device address, for a device modelled in Python.

        Args:
            address: as an element or a common buffer has it.
            length: bytes.
            access: "read" or "write", what the device is about to do; None gives what it may do.

        Raises:
            TranslationFaultError: not mapped now, mapped the other way, or the run leaves its
                element.
        """
        return self._backend.translate(address, length, access)

    def power_up(self) -> None:
        """The device has power: fill, enable, start; `Device.start` calls this."""
        if not self.deleted:
            self._power.up(self)

    def power_down(self) -> None:
        """The device is about to lose power: stop, disable, flush; `Device.stop` calls this."""
        if not self.deleted:
            self._power.down(self)

    def delete(self) -> None:
        """Delete it, with its transactions and common buffers.

        Raises:
            InvalidDeviceStateError: with the verifier on, while common buffers, map registers or
                lists of elements are outstanding (bug check E6, 07, 09 or 0A).
        """
        if self._verifier:
            verification.check_idle(self)
        super().delete()

    # ---- for transactions -----------------------------------------------------------------------

    @property
    def reach(self) -> Reach:
        """What its device can reach."""
        return self._reach

    def adapter(self, direction: int) -> MapRegisters:
        """The map registers of a direction."""
        return self._adapters[direction if self.profile.duplex else 0]

    def dispatch(self, jobs: Iterable[Job]) -> None:
        """Do what became due while a lock was held; called without one."""
        due: list[Job] = []
        for job in jobs:
            if isinstance(job, Drop):
                job()
            else:
                due.append(job)
        if due:
            self._trampoline.run(due)

    def count(self, transfer: Transfer) -> None:
        """Count a transfer that starts."""
        with self._figures_lock:
            transfers, size, bounced, elements = self._figures
            self._figures = (
                transfers + 1,
                size + transfer.length,
                bounced + transfer.bounced,
                elements + len(transfer.elements),
            )

    def begin(self, transaction: TransactionEngine) -> None:
        """A transaction begins: of a packet device of version 2 there is one at a time.

        Raises:
            MembufError: WDF_BUSY.
        """
        if self._one_at_a_time:
            running = _running.setdefault(id(self._device), transaction)
            if running is not transaction:
                raise from_status(
                    st.STATUS_WDF_BUSY, f"{running!r} is under way at the same device"
                )

    def ended(self, transaction: TransactionEngine) -> None:
        """A transaction is over."""
        if self._one_at_a_time and _running.get(id(self._device)) is transaction:
            _running.pop(id(self._device), None)

    def check_mdls(self, part: Bytes) -> None:
        """DMA verification of what a transaction is initialised with."""
        if self._verifier:
            verification.check_mdls(self, part)

    def keep_for(self, transaction: TransactionEngine) -> None:
        """A scatter/gather transaction has room for a list, and its enabler outlives that.

        While neither is deleted the tree sees to it: a reference would keep both from being
        dropped.
        """
        if self._preallocate:
            self.reference(transaction.label)

    def let_go_of(self, transaction: TransactionEngine) -> None:
        """The transaction is gone."""
        if self._preallocate:
            self.dereference(transaction.label)

    @property
    def _one_at_a_time(self) -> bool:
        return self.profile.packet and self.dma_version < 3


_running: WeakValueDictionary[int, TransactionEngine] = WeakValueDictionary()
"""The transactions of packet devices of version 2 that are under way, by the device's identity."""


def follow_power(device: Object, enabler: Enabler) -> None:
    """Let the device's start and stop call the enabler's callbacks."""
    add = getattr(device, "add_power_callbacks", None)
    if add is not None:
        add(enabler.power_up, enabler.power_down)


def check_parent(device: Object, parent: Object | None) -> Object:
    """The parent of an enabler: the device, or one of its descendants.

    Raises:
        MembufError: WDF_OBJECT_ATTRIBUTES_INVALID.
    """
    owner = device if parent is None else parent
    above: Object | None = owner
    while above is not None and above is not device:
        above = above.parent
    if above is None:
        raise from_status(
            st.STATUS_WDF_OBJECT_ATTRIBUTES_INVALID,
            f"the parent of an enabler must be its device {device!r} or below it; got {parent!r}",
        )
    return owner
