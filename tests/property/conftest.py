"""How long the property tests look: quick by default, longer with ``HYPOTHESIS_PROFILE=ci``."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("quick", settings.get_profile("membuf"), max_examples=100)
settings.register_profile("ci", settings.get_profile("membuf"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
