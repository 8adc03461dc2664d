"""Lint rules about what FROM names: its variables, their defaults, and its platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orlop.dockerfile import expand, imagename, platforms, stages
from orlop.dockerfile.problems import did_you_mean, quoted, suggest
from orlop.dockerfile.rules.rule import Finding, Rule, Subject
from orlop.dockerfile.stages import Stage
from orlop.dockerfile.words import Word

_TARGET = "TARGETPLATFORM"


def _undefined(subject: Subject) -> Iterator[Finding]:
    declared = {name for arg in subject.dockerfile.global_args for name, _ in arg.entries}
    known = sorted(declared | set(subject.facts.platform_args))
    values = dict.fromkeys(known, "")
    for stage in subject.dockerfile.stages:
        for word in _words(stage):
            told: set[str] = set()
            for use in _uses(subject, word, values):
                if use.is_set or use.guarded or use.name in told:
                    continue
                told.add(use.name)
                meant = suggest(use.name, known)
                message = f"FROM argument '{use.name}' is not declared{did_you_mean(meant)}"
                hint = f"Write ARG {use.name} before the first FROM."
                yield Finding(message, word.part(use.start, use.end), stage.from_, hint, meant)


def _invalid_default(subject: Subject) -> Iterator[Finding]:
    facts = subject.facts
    try:
        values = stages.global_values(subject.dockerfile, {}, facts.platform_args)
    except stages.StageError:
        return
    for stage in subject.dockerfile.stages:
        word = stage.from_.image
        if not word.text:
            continue
        try:
            name = expand.expand(word.text, values, subject.dockerfile.escape)
        except expand.ExpandError:
            return
        if imagename.complaint(name) is not None:
            message = f"Default value for ARG {word.text} results in empty or invalid base image name"
            yield Finding(message, word.span, stage.from_, "Give the ARG before FROM a default that names an image.")


def _redundant(subject: Subject) -> Iterator[Finding]:
    values = dict(subject.facts.platform_args)
    for stage in subject.dockerfile.stages:
        word = stage.from_.platform
        if word is None:
            continue
        uses = _uses(subject, word, values)
        names = {use.name for use in uses if use.is_set}
        if names != {_TARGET} or any(not use.is_set for use in uses):
            continue
        if expand.expand(word.text, values, subject.dockerfile.escape) == values[_TARGET]:
            message = f"Setting platform to predefined {word.text} in FROM is redundant as this is the default behavior"
            flag = stage.from_.flag("platform")
            yield Finding(message, flag.span if flag else word.span, stage.from_, "Leave --platform out.", "")


def _constant(subject: Subject) -> Iterator[Finding]:
    for stage in subject.dockerfile.stages:
        word = stage.from_.platform
        if word is None or _uses(subject, word, {}):
            continue
        try:
            text = expand.expand(word.text, {}, subject.dockerfile.escape)
            platform = platforms.parse(text)
        except (expand.ExpandError, platforms.PlatformError):
            continue
        name = stage.name or ""
        if any(part is not None and part in name for part in (platform.system, platform.architecture)):
            continue
        message = f"FROM --platform flag should not use constant value {quoted(text)}"
        hint = "Leave it out and choose the platform at build time, or use $BUILDPLATFORM."
        flag = stage.from_.flag("platform")
        yield Finding(message, flag.span if flag else word.span, stage.from_, hint)


def _wrong_platform(subject: Subject) -> Iterator[Finding]:
    find = subject.facts.find_image
    for base in subject.bases:
        if find is None or base.parent is not None or base.is_scratch or base.problem is not None or not base.image:
            continue
        image = find(base.image)
        expected = base.platform or subject.facts.platform_args.get(_TARGET, "")
        if image is None or image.platform is None or _same(image.platform, expected):
            continue
        message = (
            f"Base image {base.image} was pulled with platform {quoted(image.platform)}, "
            f"expected {quoted(expected)} for current build"
        )
        yield Finding(message, base.stage.from_.image.span, base.stage.from_, "Pull the image for that platform.")


def _same(actual: str, expected: str) -> bool:
    try:
        first, second = platforms.parse(actual), platforms.parse(expected)
    except platforms.PlatformError:
        return True
    return all(
        left is None or right is None or left == right
        for left, right in ((first.system, second.system), (first.architecture, second.architecture))
    )


def _words(stage: Stage) -> Iterator[Word]:
    yield stage.from_.image
    if stage.from_.platform is not None:
        yield stage.from_.platform


def _uses(subject: Subject, word: Word, values: Mapping[str, str]) -> tuple[expand.Use, ...]:
    try:
        return expand.examine(word.text, values, subject.dockerfile.escape).uses
    except expand.ExpandError:
        return ()


RULES = (
    Rule("UndefinedArgInFrom", "FROM command must use declared ARGs", _undefined),
    Rule(
        "InvalidDefaultArgInFrom",
        "Default value for global ARG results in an empty or invalid base image name",
        _invalid_default,
    ),
    Rule(
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
        _redundant,
    ),
    Rule("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value", _constant),
    Rule("InvalidBaseImagePlatform", "Base image platform does not match expected target platform", _wrong_platform),
)
