"""Interpreter exit with anything alive: code 0 and nothing on the error stream."""

from __future__ import annotations

import pytest

from tests.support import assert_silent, run_python

SCENES = {
    "objects in globals": """
        root = membuf.Object("root")
        child = membuf.Memory(4096, parent=root)
        lone = membuf.Memory(64)
        """,
    "callbacks that print nothing": """
        root = membuf.Object(on_cleanup=lambda _: None, on_destroy=lambda _: None)
        child = membuf.Object(parent=root, on_cleanup=lambda handle: handle.context.clear())
        """,
    "views alive": """
        memory = membuf.Memory(4096)
        view = memory.buffer
        stale = membuf.Memory(4096)
        old = stale.buffer
        stale.delete()
        """,
    "numpy arrays alive": """
        import numpy
        memory = membuf.Memory(4096)
        array = numpy.frombuffer(memory, "u1")
        tensor = numpy.from_dlpack(memory)
        memory.delete()
        """,
    "lookaside lists with memories": """
        pages = membuf.LookasideList(4096)
        kept = [pages.allocate() for _ in range(10)]
        kept.pop().delete()
        orphan = membuf.LookasideList(64).allocate()
        """,
    "references never dropped": """
        held = membuf.Object()
        held.reference("forever")
        gone = membuf.Memory(64)
        gone.reference("forever")
        gone.delete()
        del held, gone
        """,
    "cycles": """
        root = membuf.Object()
        root.context["me"] = root
        root.context["callback"] = lambda: root
        membuf.Memory(64, parent=root, on_cleanup=lambda _, root=root: None)
        del root
        """,
    "objects only the module holds": """
        import sys
        sys.kept = [membuf.Memory(64), membuf.LookasideList(64).allocate()]
        membuf.kept = membuf.Object(on_destroy=lambda _: None)
        """,
    "a domain never left": """
        domain = membuf.Domain(tag="Drv1")
        domain.__enter__()
        memory = membuf.Memory(64, parent=domain)
        """,
    "deep tree": """
        root = leaf = membuf.Object()
        for _ in range(200_000):
            leaf = membuf.Object(parent=leaf)
        """,
    "a daemon thread at work": """
        import threading
        pages = membuf.LookasideList(64)
        def churn():
            while True:
                membuf.Memory(5000, parent=pages.allocate())
        for _ in range(2):
            threading.Thread(target=churn, daemon=True).start()
        import time
        time.sleep(0.2)
        """,
    "objects made while exiting": """
        import atexit
        class Late:
            def __del__(self, Memory=membuf.Memory):
                Memory(64).copy_from(b"late")
        late = Late()
        atexit.register(lambda: membuf.Object(parent=membuf.Object("late")))
        """,
    "callbacks that touch modules already cleared": """
        import sys
        class Owner:
            pass
        owner = Owner()
        owner.memory = membuf.Memory(64, on_destroy=lambda _, exit=sys.exit: None)
        owner.memory.context["owner"] = owner
        """,
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_exit_is_silent(scene: str) -> None:
    assert_silent(run_python("import membuf\n" + _dedent(scene)))


@pytest.mark.parametrize("end", ["raise SystemExit(0)", "import os; os.kill(os.getpid(), 15)"])
def test_other_ends(end: str) -> None:
    child = run_python(f"import membuf\nkept = membuf.Memory(64)\nview = kept.buffer\n{end}")
    assert child.returncode in {0, -15}
    assert child.stderr == ""


def test_a_block_never_freed_is_warned_about_when_warnings_are_on() -> None:
    code = "import membuf\nblock = membuf.pool.allocate(64, tag='Left')"
    assert_silent(run_python(code))
    child = run_python(code, environment={"PYTHONWARNINGS": "always"})
    assert child.returncode == 0
    assert "ResourceWarning" in child.stderr
    assert "Left" in child.stderr


def _dedent(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)
