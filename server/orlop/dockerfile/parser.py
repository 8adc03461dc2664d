"""`parse(text)`: a Dockerfile as a lossless tree, typed instructions and stages, with every problem at once.

Never raises, whatever the text. Source: the Dockerfile reference; BuildKit's `parser` and `instructions` packages.
"""

from __future__ import annotations

import attrs

from orlop.dockerfile import directives as directive_lines
from orlop.dockerfile import lintoptions
from orlop.dockerfile.directives import Directives
from orlop.dockerfile.instructions import Arg, From, Instruction
from orlop.dockerfile.nodes import Node
from orlop.dockerfile.position import LineIndex, Position, Span
from orlop.dockerfile.problems import Problem, error
from orlop.dockerfile.readers import table
from orlop.dockerfile.scanner import scan
from orlop.dockerfile.stage import Stage


@attrs.frozen
class Dockerfile:
    """A parsed file.

    The raw texts of `nodes` add up to `text`. `problems` are those of the language alone, by place; what stages and
    values are worth is `semantics.check`'s, style is `rules.check`'s business. Equal texts give equal values.
    """

    text: str
    escape: str
    directives: Directives
    nodes: tuple[Node, ...]
    instructions: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    global_args: tuple[Arg, ...]
    problems: tuple[Problem, ...]
    index: LineIndex = attrs.field(eq=False, repr=False)

    @property
    def has_errors(self) -> bool:
        """Whether the file cannot be built."""
        return any(problem.severity == "error" for problem in self.problems)


def parse(text: str) -> Dockerfile:
    """Parse a Dockerfile; any text gives a tree."""
    index = LineIndex(text)
    directives = directive_lines.read(index)
    scanned = scan(index, directives)
    nodes: list[Node] = []
    instructions: list[Instruction] = []
    for part in scanned.parts:
        instruction = table.read(part.line, directives.escape) if part.line is not None else None
        if instruction is not None:
            instructions.append(instruction)
        nodes.append(Node(part.kind, part.first, part.last, index.slice(part.first, part.last), instruction))
    stages, global_args, misplaced = _arrange(instructions)
    problems = [*directives.problems, *_check_options(directives), *scanned.problems, *misplaced]
    problems += _whole(text, index, instructions)
    for instruction in instructions:
        if instruction.problems:
            problems += instruction.problems
    return Dockerfile(
        text=text,
        escape=directives.escape,
        directives=directives,
        nodes=tuple(nodes),
        instructions=tuple(instructions),
        stages=stages,
        global_args=global_args,
        problems=tuple(sorted(problems, key=_place)),
        index=index,
    )


def _place(problem: Problem) -> tuple[int, int]:
    return problem.span.start.line, problem.span.start.column


def _arrange(
    instructions: list[Instruction],
) -> tuple[tuple[Stage, ...], tuple[Arg, ...], list[Problem]]:
    """The stages, the ARGs before them, and the first instruction that stands there without being one."""
    stages: list[Stage] = []
    global_args: list[Arg] = []
    problems: list[Problem] = []
    open_from: From | None = None
    members: list[Instruction] = []

    def close() -> None:
        if open_from is not None:
            stages.append(Stage(len(stages), open_from.name, open_from, tuple(members)))

    for instruction in instructions:
        if isinstance(instruction, From):
            close()
            open_from = instruction
            members = []
        elif open_from is not None:
            members.append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        elif not problems:
            hint = "Start the file with FROM; only ARG may stand before it."
            problems.append(error("no-stage", "no build stage in current context", instruction.keyword_span, hint))
    close()
    return tuple(stages), tuple(global_args), problems


def _check_options(directives: Directives) -> list[Problem]:
    item = next((item for item in directives.items if item.name == "check"), None)
    if item is None:
        return []
    try:
        lintoptions.parse(directives.value("check") or "")
    except lintoptions.OptionsError as wrong:
        hint = "Write skip=RULE, error=true or experimental=RULE, with semicolons between them."
        return [error("invalid-check", f"failed to parse check options: {wrong}", item.value_span, hint)]
    return []


def _whole(text: str, index: LineIndex, instructions: list[Instruction]) -> list[Problem]:
    """What is missing from the file as a whole."""
    start = Span(Position(0, 0), Position(0, 0))
    hint = "Start with FROM and the image to build on."
    if not text:
        return [error("empty-dockerfile", "the Dockerfile cannot be empty", start, hint)]
    if not instructions:
        last = index.position(len(text))
        return [error("no-instructions", "file with no instructions", Span(last, last), hint)]
    if all(isinstance(instruction, Arg) for instruction in instructions):
        return [error("no-stages", "dockerfile contains no stages to build", instructions[-1].span, hint)]
    return []
