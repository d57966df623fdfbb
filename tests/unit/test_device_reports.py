"""What no caller can receive reaches `sys.unraisablehook`, the interpreter's own among them."""

from __future__ import annotations

import pytest

from membuf._native import unraisable
from tests.support import run_python

PROGRAM = """
    import membuf
    device = membuf.Device("disk")

    @device.on_read
    def read(request):
        raise ValueError("planted")

    with device.open() as handle:
        try:
            handle.read(8)
        except membuf.MembufError as error:
            print(error.status.name, end="")
"""


def test_a_handler_that_raises_is_reported_and_its_request_ends() -> None:
    child = run_python(PROGRAM)
    assert (child.returncode, child.stdout) == (0, "STATUS_UNSUCCESSFUL")
    assert "Exception ignored in: <function read" in child.stderr
    assert "ValueError: planted" in child.stderr


@pytest.mark.parametrize("wrong", [(), (ValueError(),), ("no exception", "where")])
def test_only_an_exception_can_be_reported(wrong: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match="an exception"):
        unraisable(*wrong)  # type: ignore[call-arg, arg-type]
