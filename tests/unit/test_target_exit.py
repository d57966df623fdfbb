"""The interpreter's end while a device still holds what it was sent, and what a send is given."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import membuf

HELD = """
import membuf
device = membuf.Device("held")
queue = device.queue("default", dispatch="manual", default=True)
request = membuf.Request(membuf.open_target({uri!r}))
request.format_read(membuf.Memory(10))
request.send()
kept = queue.retrieve_next()
"""


@pytest.mark.parametrize("uri", ["device:held", "log+device:held"])
def test_the_end_does_not_wait_for_a_driver_that_never_completes(uri: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HELD.format(uri=uri)], timeout=60, check=False, capture_output=True
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("offset", [2.7, True, "1"])
def test_an_offset_for_a_device_is_an_integer(offset: Any) -> None:
    device = membuf.Device("offsets")
    with membuf.open_target("device:offsets") as target:
        memory = membuf.Memory(10)
        with pytest.raises(TypeError, match="offset must be an integer"):
            membuf.Request(target).format_read(memory, offset)
        assert memory.reference_count == 1
    device.delete()


@pytest.mark.parametrize("action", [0, 4, "wait", None])
def test_an_unknown_action_does_not_stop_a_target(action: Any) -> None:
    device = membuf.Device("actions")
    with membuf.open_target("device:actions") as target:
        before = target.state
        with pytest.raises(ValueError, match="expected an action of StopAction"):
            target.stop(action)
        assert target.state is before
    device.delete()
