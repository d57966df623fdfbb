"""Programs with one planted defect each: membuf has to notice and name it, and nothing else."""

from __future__ import annotations

import textwrap

import pytest

from tests.support import run_python

# Each prints what membuf said; the last column is what that has to contain.
DEFECTS = {
    "dropped block": (
        """
        def careless():
            membuf.pool.allocate(64, tag="Drop")
        careless()
        """,
        ["ResourceWarning", "Drop", "64"],
    ),
    "block left in a domain": (
        """
        with membuf.Domain(tag="Left"):
            block = membuf.pool.allocate(64)
        block.free()
        """,
        ["ResourceWarning", "Left"],
    ),
    "free under the wrong tag": (
        """
        block = membuf.pool.allocate(64, tag="Mine")
        try:
            membuf.pool.free(block, tag="Your")
        finally:
            block.free()
        """,
        ["InvalidParameterError", "Mine", "Your"],
    ),
    "double free": (
        """
        block = membuf.pool.allocate(64, tag="Once")
        block.free()
        block.free()
        """,
        ["InvalidParameterError", "freed before", "<string>:4"],
    ),
    "use after delete": (
        """
        memory = membuf.Memory(64, name="frame")
        memory.delete()
        memory.copy_from(b"x")
        """,
        ["ObjectDeletedError", "frame"],
    ),
    "double delete": (
        """
        root = membuf.Object("root")
        root.delete()
        root.delete()
        """,
        ["ObjectDeletedError", "root"],
    ),
    "overrun": (
        """
        membuf.Memory(64, tag="Over").copy_from(b"x" * 65)
        """,
        ["InvalidBufferSizeError", "64", "65"],
    ),
    "dereference too often": (
        """
        membuf.Object("lone").dereference()
        """,
        ["InvalidParameterError", "lone"],
    ),
    "stale view": (
        """
        import membuf.verifier
        memory = membuf.Memory(64, tag="Stal")
        view = memory.buffer
        memory.delete()
        sys.exit(str(membuf.verifier.report()))
        """,
        ["Stal", "held by a view only", "views of deleted objects: 1 open"],
    ),
    "leak": (
        """
        import membuf.verifier
        root = membuf.Object("capture")
        memory = membuf.Memory(64, tag="Leak", parent=root)
        del memory
        sys.exit(str(membuf.verifier.report()))
        """,
        ["Leak", "64 bytes", "owner capture", "<string>"],
    ),
    "request dropped": (
        """
        device = membuf.Device("disk")
        device.on_read(lambda request: None)
        pending = device.open().start_read(bytearray(8), 512)
        pending.wait(10)
        pending.result()
        """,
        ["disk", "READ of 8 bytes at 512", "dropped by its driver", "STATUS_INTERNAL_ERROR"],
    ),
    "request completed twice": (
        """
        device = membuf.Device("disk")
        device.on_read(lambda request: (request.complete(), request.complete()))
        device.open().read(8)
        """,
        ["InvalidDeviceStateError", "cannot complete", "READ of 8 bytes at 0", "over"],
    ),
    "request completed with a hold left": (
        """
        device = membuf.Device("disk")
        @device.on_read
        def read(request):
            request.output_memory().reference("mine")
            request.complete()
        device.open().start_read(bytearray(8))
        """,
        ["InvalidDeviceStateError", "1 reference(s)", "8 bytes request"],
    ),
    "request completed while marked": (
        """
        device = membuf.Device("disk")
        @device.on_read
        def read(request):
            request.mark_cancelable(print)
            request.complete()
        device.open().start_read(bytearray(8))
        """,
        ["InvalidDeviceStateError", "unmark it first"],
    ),
    "more information than bytes": (
        """
        device = membuf.Device("disk")
        device.on_read(lambda request: request.complete(information=9))
        device.open().read(8)
        """,
        ["InvalidParameterError", "asked for 8 bytes", "with 9"],
    ),
    "child of a temporary parent": (
        """
        child = membuf.Memory(64, parent=membuf.Object(), name="child")
        child.copy_from(b"x")
        """,
        ["ObjectDeletedError", "child"],
    ),
}


@pytest.mark.parametrize(("code", "expected"), DEFECTS.values(), ids=DEFECTS.keys())
def test_the_defect_is_named(code: str, expected: list[str]) -> None:
    program = "import membuf, gc, sys\n" + textwrap.dedent(code) + "\ngc.collect()\n"
    child = run_python(program, environment={"PYTHONWARNINGS": "always"})
    for part in expected:
        assert part in child.stderr


@pytest.mark.parametrize("code", [code for code, _ in DEFECTS.values()], ids=DEFECTS.keys())
def test_no_defect_crashes(code: str) -> None:
    child = run_python("import membuf, sys\n" + textwrap.dedent(code))
    assert child.returncode in {0, 1}, child
