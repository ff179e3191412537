"""Settings for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# No example has a deadline: its time depends on the machine and its load. CI draws the same examples in each run.
settings.register_profile("regard", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("regard")
