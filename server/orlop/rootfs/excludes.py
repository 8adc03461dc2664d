"""`--exclude` patterns in the form that lean workers take: regular expressions, in order."""

from __future__ import annotations

from collections.abc import Sequence

from orlop.core import errors
from orlop.dockerfile import ignorefile


def compiled(patterns: Sequence[str]) -> list[list[bool | str]]:
    """`[takes back?, expression]` for each pattern, in the syntax of .dockerignore; raises `Invalid` for a bad one."""
    rules = ignorefile.from_patterns(patterns)
    for problem in rules.problems:
        raise errors.Invalid(f"invalid exclude pattern: {problem.message}", hint=problem.hint)
    return [[rule.negated, rule.path.regex.pattern] for rule in rules.patterns]
