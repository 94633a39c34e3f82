"""What all tests share: examples that do not change from run to run, unless one goes looking for new ones."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("exploring")
settings.load_profile("exploring" if os.environ.get("HOLDFAST_EXPLORE") else "same")
