"""The backends, by name."""

from __future__ import annotations

from typing import Final

from membuf.base import status as st
from membuf.dma.backends.backend import Backend
from membuf.dma.backends.identity import Identity
from membuf.dma.backends.sim import Sim
from membuf.dma.errors import BackendNotAvailableError

_BUILT_IN: Final[dict[str, type[Backend]]] = {"sim": Sim, "self": Identity}
_MISSING: Final = {
    "vfio": "there is no backend for VFIO yet, and none is tested without /dev/vfio",
    "iommufd": "there is no backend for iommufd yet, and none is tested without /dev/iommu",
    "vhost-user": "there is no backend for vhost-user yet",
    "io_uring": "there is no backend for io_uring yet: its targets register buffers themselves",
    "cuda": "there is no backend for CUDA yet, and none is tested without a device",
    "pagemap": "there is no backend for the page map: frames are not for devices to use",
}


def backend_of(wanted: str | Backend) -> Backend:
    """The backend that is meant by its name or by itself.

    Raises:
        BackendNotAvailableError: a name that stands for nothing here.

    >>> backend_of("cuda")
    Traceback (most recent call last):
    ...
    membuf.dma.BackendNotAvailableError: backend not available: 'cuda': there is no backend for \
CUDA yet, and none is tested without a device; built in are sim, self
    """
    if isinstance(wanted, Backend):
        return wanted
    if wanted in _BUILT_IN:
        return _BUILT_IN[wanted]()
    reason = _MISSING.get(wanted, "no backend has this name")
    raise BackendNotAvailableError(
        f"backend not available: {wanted!r}: {reason}; built in are {', '.join(_BUILT_IN)}",
        status=st.STATUS_UNSUCCESSFUL,
    )
