"""The engines that this build has, for tests that must hold for each."""

from __future__ import annotations

from importlib.util import find_spec

HAVE_URING = find_spec("membuf.target._uring") is not None
"""Whether liburing was there when membuf was built."""

ENGINES = ["threads", "io_uring"] if HAVE_URING else ["threads"]
