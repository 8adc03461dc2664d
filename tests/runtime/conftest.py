"""Labs on real namespaces; skipped where this host has none."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from containers import able, lab  # noqa: F401 - fixtures
from places import place  # noqa: F401 - fixture
