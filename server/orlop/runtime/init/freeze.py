"""No module may be imported once the container's tree is in sight: the image could have put its own there.

Python looks for modules by path; after the change of root those paths are the image's, while this process still has
all its capabilities.
"""

from __future__ import annotations

import encodings.ascii
import encodings.latin_1
import encodings.utf_8  # noqa: F401 - codecs are found by name later
import gc
import sys


def freeze_imports() -> None:
    """Leave nothing but built-in and frozen modules importable, and errors printed without source lines."""
    frozen = [each for each in sys.meta_path if getattr(each, "__name__", "") in ("BuiltinImporter", "FrozenImporter")]
    sys.meta_path[:] = frozen
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    sys.excepthook = _say_nothing
    sys.unraisablehook = _say_nothing
    gc.disable()


def _say_nothing(*_: object) -> None:
    """Printing a traceback would read source files."""
