"""What every test run shares: the package under test is the installed one, seeds are printed."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

import membuf

ROOT = Path(__file__).resolve().parent.parent

hypothesis.settings.register_profile(
    "membuf",
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("membuf")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run on the source tree where the installed wheel was to be tested."""
    if os.environ.get("MEMBUF_TEST_INSTALLED") == "1" and is_inside_source(Path(membuf.__file__)):
        raise pytest.UsageError(
            f"the installed wheel was to be tested, but membuf came from {membuf.__file__}; "
            "install the wheel into this environment (make test does)"
        )


def is_inside_source(module: Path) -> bool:
    """Whether a module file lies in the source tree of this checkout."""
    return module.resolve().is_relative_to(ROOT / "src")
