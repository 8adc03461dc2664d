"""Lint rules, BuildKit's `build --check`: each a value, in small files by family. Entry: `check`."""

from orlop.dockerfile.rules.checking import check

__all__ = ["check"]
