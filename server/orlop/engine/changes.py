"""`--change` of import and commit: Dockerfile instructions that only touch the configuration."""

from __future__ import annotations

from typing import NoReturn

from orlop.builder import instructions
from orlop.builder.draft import Draft, Surroundings
from orlop.builder.variables import Variables
from orlop.core import errors
from orlop.core.imageconfig import RunConfig
from orlop.dockerfile import parser
from orlop.dockerfile.expand import ExpandError
from orlop.dockerfile.instructions import Copy, Instruction

ALLOWED = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip


def apply(changes: tuple[str, ...], config: RunConfig | None = None) -> RunConfig:
    """The configuration after the instructions; raises `Invalid` naming the one that is not allowed or malformed."""
    start = config or RunConfig()
    # One draft for all: a CMD that was given survives a later ENTRYPOINT, an inherited one does not.
    draft = Draft(_ALONE, Variables(start.environment(), ()), start, "")
    for change in changes:
        keyword = change.split(None, 1)[0].upper() if change.strip() else ""
        if keyword not in ALLOWED:
            raise errors.Invalid(
                f"cannot apply the change {change!r}: {keyword or 'nothing'} is not allowed here",
                hint=f"Use one of {', '.join(ALLOWED)}.",
            )
        tree = parser.parse(f"FROM scratch\n{change}\n")
        problem = next((item for item in tree.problems if item.severity == "error"), None)
        if problem is not None:
            raise errors.Invalid(f"cannot apply the change {change!r}: {problem.message}", hint=problem.hint)
        for instruction in tree.stages[0].instructions:
            _apply(draft, instruction, change)
    return draft.config


def _apply(draft: Draft, instruction: Instruction, change: str) -> None:
    try:
        instructions.apply(draft, instruction, errors.Location("--change", 0))
    except ExpandError as error:
        raise errors.Invalid(f"cannot apply the change {change!r}: {error}") from error


def _no_origin(_: Copy) -> NoReturn:
    raise errors.Invalid("a change cannot copy files")


_ALONE = Surroundings(
    escape="\\", globals={}, build_args={}, network="none", hostname="", proxies={}, origin=_no_origin
)
