"""Reads the Dockerfile of a build and its ignore file, and turns what is wrong with them into one error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from orlop.builder.events import BuildWarning
from orlop.builder.planner import invalid, place
from orlop.core import errors
from orlop.core.errors import Location
from orlop.core.imageconfig import ImageConfig
from orlop.dockerfile import parser, semantics
from orlop.dockerfile.evaluation import BaseImage
from orlop.dockerfile.ignorefile import IgnoreFile, parse_ignore
from orlop.dockerfile.problems import Problem
from orlop.dockerfile.rules import checking

NAMES = ("Dockerfile", "dockerfile", "Containerfile", "containerfile")


@attrs.frozen(slots=True)
class Source:
    """A Dockerfile's text and the name it has in messages."""

    path: str
    text: str


def read(context: Path, dockerfile: Path | None, text: str | None) -> Source:
    """The Dockerfile to build; `text`, if given, is its content. Raises `NotFound` or `Unavailable`."""
    if text is not None:
        return Source(str(dockerfile or NAMES[0]), text)
    path = dockerfile or _find(context)
    return Source(str(path), _read(path))


def read_ignore(context: Path, dockerfile: Path | None) -> tuple[IgnoreFile | None, str | None]:
    """The ignore file of a build and its name: the Dockerfile's own wins over that of the context."""
    candidates = [context / ".dockerignore"]
    if dockerfile is not None:
        candidates.insert(0, dockerfile.with_name(f"{dockerfile.name}.dockerignore"))
    for path in candidates:
        try:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise errors.from_os(error, f"read {path}") from error
        ignore = parse_ignore(text)
        if ignore.problems:
            problem = ignore.problems[0]
            raise errors.Invalid(problem.message, hint=problem.hint, location=place(str(path), problem.span))
        return ignore, path.name
    return None, None


def parse(source: Source) -> parser.Dockerfile:
    """The parsed file; raises `InvalidDockerfile` that tells every error, the first one in front."""
    tree = parser.parse(source.text)
    wrong = [problem for problem in tree.problems if problem.severity == "error"]
    if not wrong:
        return tree
    first = wrong[0]
    raise errors.InvalidDockerfile(
        _message(first),
        hint=first.hint,
        detail="\n".join(f"{_place(source.path, problem)}: {problem.message}" for problem in wrong),
        location=_place(source.path, first),
    )


def all_problems(
    source: Source, tree: parser.Dockerfile, build_args: Mapping[str, str], platform_args: Mapping[str, str]
) -> str | None:
    """Every error beyond the language, a line each; to stand beside the one that stopped a build."""
    found = semantics.check(tree, build_args=build_args, platform_args=platform_args)
    return "\n".join(f"{_place(source.path, problem)}: {problem.message}" for problem in found) or None


def lint(
    source: Source,
    tree: parser.Dockerfile,
    ignore: IgnoreFile | None,
    build_args: Mapping[str, str],
    platform_args: Mapping[str, str],
    find_image: Callable[[str], ImageConfig | None],
) -> tuple[BuildWarning, ...]:
    """What the lint rules have to say; raises `InvalidDockerfile` when the file asks that they fail the build.

    `find_image` gives what is known of a base image by the name FROM has for it.
    """
    options = build_args.get("BUILDKIT_DOCKERFILE_CHECK")
    problems = checking.check(
        tree,
        ignore=ignore,
        build_args=build_args,
        platform_args=platform_args,
        find_image=lambda name: _base(find_image(name)),
        options=options,
    )
    failure = checking.failure(tree, problems, options)
    if failure is not None:
        raise invalid(source.path, failure)
    return tuple(
        BuildWarning(problem.code, problem.message, _place(source.path, problem), problem.hint) for problem in problems
    )


def _base(config: ImageConfig | None) -> BaseImage | None:
    if config is None:
        return None
    platform = f"{config.platform.os}/{config.platform.architecture}"
    return BaseImage(config.config.environment(), platform, has_shell=config.config.shell is not None)


def _find(context: Path) -> Path:
    for name in NAMES:
        if (context / name).is_file():
            return context / name
    raise errors.NotFound(f"cannot find a Dockerfile in {context}", hint="Create one there, or name the file with -f.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError as error:
        raise errors.NotFound(
            f"cannot find the Dockerfile {path}", hint="Check the path, or name the file with -f."
        ) from error
    except OSError as error:
        raise errors.from_os(error, f"read {path}") from error


def _message(problem: Problem) -> str:
    """As BuildKit has it: errors of one instruction are told with their line."""
    whole_file = problem.code in ("empty-dockerfile", "no-instructions", "no-stages")
    prefix = "" if whole_file else f"dockerfile parse error on line {problem.span.start.line + 1}: "
    return prefix + problem.message


def _place(path: str, problem: Problem) -> Location:
    return place(path, problem.span)
