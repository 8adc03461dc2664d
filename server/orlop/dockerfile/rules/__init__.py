"""Lint rules, BuildKit's `build --check`: each a value, in small files by family. Entry: `check`."""

from orlop.dockerfile.rules.checking import RULES, check, failure

__all__ = ["RULES", "check", "failure"]
