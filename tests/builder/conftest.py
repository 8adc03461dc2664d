from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Helper modules of these tests stand beside them.
sys.path.insert(0, str(Path(__file__).parent))

from building import BUSYBOX, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A fresh store with the image `base`, and an empty context."""
    if not BUSYBOX.exists():
        pytest.skip("needs Debian's busybox-static for a base image")
    os.chmod(tmp_path, 0o755)
    made = Lab(tmp_path)
    yield made
    made.close()
