"""One stage while its instructions are carried out on paper: its variables, configuration, steps and history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from orlop.builder.operations import Operation, Origin
from orlop.builder.variables import Variables
from orlop.core.errors import Location
from orlop.core.imageconfig import RunConfig
from orlop.dockerfile import expand
from orlop.dockerfile.instructions import Copy, Instruction, Word


@attrs.frozen(slots=True)
class HistoryLine:
    """One entry of the history to be; `has_layer` when a step stands behind it."""

    created_by: str
    has_layer: bool


@attrs.frozen(slots=True)
class PendingStep:
    """An operation before it has its number; `text` is the instruction as it was written."""

    operation: Operation
    created_by: str
    text: str
    location: Location


@attrs.frozen(slots=True)
class Surroundings:
    """What the instructions of every stage share.

    `globals` are the automatic and global ARGs, `build_args` what the caller passed, `proxies` what each RUN gets,
    `origin` finds what `COPY --from` names.
    """

    escape: str
    globals: Mapping[str, str]
    build_args: Mapping[str, str]
    network: str
    hostname: str
    proxies: Mapping[str, str]
    origin: Callable[[Copy], Origin]


class Draft:
    """A stage in the making; `cmd_set` tells whether this stage itself has a CMD."""

    def __init__(self, surroundings: Surroundings, variables: Variables, config: RunConfig, author: str) -> None:
        self.surroundings = surroundings
        self.variables = variables
        self.config = config
        self.author = author
        self.cmd_set = False
        self.steps: list[PendingStep] = []
        self.history: list[HistoryLine] = []

    def change(self, **changes: Any) -> None:
        """Change the configuration silently."""
        self.config = attrs.evolve(self.config, **changes)

    def configure(self, created_by: str, **changes: Any) -> None:
        """Change the configuration, with its line of history."""
        self.change(**changes)
        self.tell(created_by)

    def tell(self, created_by: str) -> None:
        """A line of history without a layer."""
        self.history.append(HistoryLine(created_by, has_layer=False))

    def perform(self, operation: Operation, created_by: str, instruction: Instruction, location: Location) -> None:
        """A step, with its line of history."""
        self.steps.append(PendingStep(operation, created_by, instruction.original, location))
        self.history.append(HistoryLine(created_by, has_layer=True))

    def expand(self, word: Word | str) -> str:
        """The word with the variables of this moment; raises `expand.ExpandError`."""
        text = word if isinstance(word, str) else word.text
        return expand.expand(text, self.variables.values, self.surroundings.escape)
