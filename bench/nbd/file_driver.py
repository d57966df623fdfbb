"""A disk that is a file, as a driver: every request is received, sent on, and seen on its way back.

membuf serve bench/nbd/file_driver.py --set path=PATH [--set direct=yes] --nbd URI

Its requests have system buffers, which are the server's own memory. With membuf.DIRECT each would
have an MDL to be made, locked and freed, and nobody here asks for one.
"""

from __future__ import annotations

from typing import Any

import membuf
from membuf.request import ReceivedRequest


def open(path: str, direct: str = "no") -> membuf.Disk:  # noqa: A001 - what `membuf serve` calls
    """The disk over a file.

    Args:
        path: Of the file.
        direct: `yes` to go past the page cache.
    """
    file = membuf.open_target(f"file:{path}", direct=direct == "yes")
    block = 4096 if direct == "yes" else 1
    disk = membuf.Disk("file", size=file.size, block_size=block, lower=file)

    @disk.on_read
    @disk.on_write
    @disk.on_flush
    def pass_on(request: ReceivedRequest) -> None:
        request.format_current_type()
        request.send(passed)

    def passed(request: Any, _: Any, params: Any, __: Any) -> None:
        request.complete(params.status, params.information)

    return disk
