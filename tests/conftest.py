"""What every test run shares: the package under test is the installed one, seeds are printed."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import membuf
from tests.engines import HAVE_URING

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = 20

hypothesis.settings.register_profile(
    "membuf",
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("membuf")


def hear_signals() -> None:
    """Have the signals that tests send be heard here and in child processes.

    Who starts the suite in the background or under nohup may have left them ignored, and a test
    would wait for ever.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)


hear_signals()


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run on something else than what was to be tested."""
    if os.environ.get("MEMBUF_TEST_INSTALLED") == "1" and is_inside_source(Path(membuf.__file__)):
        raise pytest.UsageError(
            f"the installed wheel was to be tested, but membuf came from {membuf.__file__}; "
            "install the wheel into this environment (make test does)"
        )

    if not HAVE_URING and os.environ.get("MEMBUF_TEST_ENGINES") != "threads":
        raise pytest.UsageError(
            "this build has no io_uring engine, and half of the target tests would be missing: "
            "build it with liburing, or say MEMBUF_TEST_ENGINES=threads (make test-threads does)"
        )


def is_inside_source(module: Path) -> bool:
    """Whether a module file lies in the source tree of this checkout."""
    return module.resolve().is_relative_to(ROOT / "src")


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every block a test takes from the default domain is given back when it has passed.

    A failed test is left alone: its traceback rightly holds what it was working on.
    """
    domain = membuf.pool.default_domain()
    failed = request.session.testsfailed
    before = held_of(domain)
    yield
    if request.session.testsfailed != failed:
        return
    left = left_by_collector(domain, before)
    assert left <= 0, f"blocks not given back: {left}, among " + "; ".join(
        str(block) for block in domain.live_blocks()
    )


def left_by_collector(domain: membuf.Domain, before: int) -> int:
    """How many more blocks are out than before, once all garbage is collected.

    What a finalizer has touched is garbage once more and waits for the next pass: devices whose
    requests were caught half-way by an automatic collection have needed eight.
    """
    passes = 0
    while held_of(domain) > before and passes < COLLECTIONS:
        gc.collect()
        passes += 1
    return held_of(domain) - before


def held_of(domain: membuf.Domain) -> int:
    """Blocks that are out, those included that only a view still holds."""
    figures = domain.statistics()
    return figures.outstanding + figures.stale_blocks
