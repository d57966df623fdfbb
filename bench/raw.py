"""Builds and loads raw.c, the few lines of C that the benchmarks measure against."""

from __future__ import annotations

import importlib.util
import sysconfig
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast

from bench.build import compiled

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Raw(Protocol):
    """The functions of raw.c."""

    def touch(self, buffer: Buffer, /) -> None:
        """Writes a byte to each page."""

    def copy(self, to: Buffer, offset: int, source: Buffer, count: int, /) -> None:
        """Runs memcpy to an offset, count times."""


@cache
def raw() -> Raw:
    """The module, compiled for this interpreter."""
    suffix, include = sysconfig.get_config_var("EXT_SUFFIX"), sysconfig.get_path("include")
    path = compiled("raw.c", f"raw{suffix}", "-shared", "-fPIC", f"-I{include}")
    spec = importlib.util.spec_from_file_location("raw", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Raw", module)
