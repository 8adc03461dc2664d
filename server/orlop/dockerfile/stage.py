"""A build stage: a FROM with the instructions up to the next one."""

from __future__ import annotations

import attrs

from orlop.dockerfile.instructions import From, Instruction


@attrs.frozen(slots=True)
class Stage:
    """One stage; `name` is in lower case, None for a stage without one; `instructions` are those behind its FROM."""

    index: int
    name: str | None
    from_: From
    instructions: tuple[Instruction, ...]

    @property
    def label(self) -> str:
        """The name, or `stage-N`, as messages call the stage."""
        return self.name or f"stage-{self.index}"

    @property
    def lines(self) -> tuple[int, int]:
        """The first and the last line, 1-based."""
        last = self.instructions[-1] if self.instructions else self.from_
        return self.from_.lines[0], last.lines[1]
