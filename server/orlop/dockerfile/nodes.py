"""The lossless tree: every line of a Dockerfile belongs to exactly one node, and their texts add up to the file."""

from __future__ import annotations

import attrs

from orlop.dockerfile.instructions import Instruction
from orlop.dockerfile.scanner import Kind


@attrs.frozen(slots=True)
class Node:
    """A stretch of whole lines, `first` to `last` inclusive, 0-based.

    `raw` is the text with line endings, here-documents included; `instruction` is set for that kind alone.
    """

    kind: Kind
    first: int
    last: int
    raw: str
    instruction: Instruction | None = None
