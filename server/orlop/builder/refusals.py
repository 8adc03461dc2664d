"""What Dockerfiles may ask for and this builder does not do yet: each is refused by its name, never passed over."""

from __future__ import annotations

from orlop.core import errors
from orlop.dockerfile import instructions as syntax


def refuse_unsupported(instruction: syntax.Instruction) -> None:
    """Raise `Unavailable` when the instruction asks for more than can be done."""
    match instruction:
        case syntax.Run():
            if instruction.mounts:
                raise _unsupported(
                    "RUN --mount", "Copy the files in with COPY, or let the RUN fetch what it needs, without the mount."
                )
            if instruction.security and instruction.security != "sandbox":
                raise _unsupported(f"RUN --security={instruction.security}", "Leave --security out.")
            if "device" in _names(instruction):
                raise _unsupported("RUN --device", "Leave --device out.")
        case syntax.Copy() | syntax.Add():
            for name in ("link", "parents"):
                if getattr(instruction, name, False):
                    raise _unsupported(
                        f"{instruction.keyword} --{name}",
                        "Leave --link out: the result is the same but for symbolic links in the destination."
                        if name == "link"
                        else "Copy each directory to its place without --parents.",
                    )
            if isinstance(instruction, syntax.Add):
                for name in ("checksum", "keep_git_dir"):
                    if getattr(instruction, name, None):
                        flag = name.replace("_", "-")
                        raise _unsupported(f"ADD --{flag}", f"Leave --{flag} out; it is for remote sources.")
        case _:
            return


def _names(instruction: syntax.Instruction) -> frozenset[str]:
    return frozenset(flag.name for flag in instruction.flags)


def _unsupported(what: str, hint: str) -> errors.Unavailable:
    return errors.Unavailable(f"cannot build: {what} is not supported yet", hint=hint)
