"""Runs the lint rules over a Dockerfile, and says whether what they find fails a build."""

from __future__ import annotations

from collections.abc import Mapping

from orlop.dockerfile import evaluation, lintoptions
from orlop.dockerfile.evaluation import AUTOMATIC_ARGS, Facts, FindImage
from orlop.dockerfile.ignorefile import IgnoreFile
from orlop.dockerfile.lintoptions import Options
from orlop.dockerfile.parser import Dockerfile
from orlop.dockerfile.position import Position, Span
from orlop.dockerfile.problems import Problem, error
from orlop.dockerfile.rules import bases, casing, exposing, forms, names, paths, variables
from orlop.dockerfile.rules.rule import Finding, Rule, Subject, nothing_at

RULES: tuple[Rule, ...] = (
    *casing.RULES, *names.RULES, *forms.RULES, *bases.RULES, *variables.RULES, *paths.RULES, *exposing.RULES,
)  # fmt: skip


def check(
    dockerfile: Dockerfile,
    *,
    ignore: IgnoreFile | None = None,
    build_args: Mapping[str, str] | None = None,
    platform_args: Mapping[str, str] = AUTOMATIC_ARGS,
    find_image: FindImage | None = None,
    options: str | None = None,
) -> tuple[Problem, ...]:
    """Everything the rules find in all stages, by place; `code` is the rule's name.

    The `# check=` line of the file says which rules run, or `options` in its place (the build argument
    `BUILDKIT_DOCKERFILE_CHECK`); a `# check=` comment above an instruction holds for that one.
    """
    chosen = _options(dockerfile, options)
    facts = Facts(build_args or {}, platform_args, find_image)
    subject = Subject(dockerfile, facts, ignore, evaluation.bases(dockerfile, facts))
    found: list[tuple[Rule, Finding]] = []
    for rule in RULES:
        found += [(rule, finding) for finding in rule.check(subject)]
    stepwise = [rule for rule in RULES if rule.check_step is not nothing_at]
    for step in evaluation.walk(dockerfile, facts):
        for rule in stepwise:
            found += [(rule, finding) for finding in rule.check_step(subject, step)]
    problems = [_problem(rule, finding) for rule, finding in found if _wanted(rule, finding, chosen)]
    return tuple(sorted(problems, key=lambda item: (item.span.start, item.code)))


def failure(dockerfile: Dockerfile, problems: tuple[Problem, ...], options: str | None = None) -> Problem | None:
    """The error that findings amount to under `error=true`, None when they are only warnings."""
    if not problems or not _options(dockerfile, options).fail:
        return None
    rules = ", ".join(dict.fromkeys(problem.code for problem in problems))
    item = next((item for item in dockerfile.directives.items if item.name == "check"), None)
    span = item.value_span if item else Span(Position(0, 0), Position(0, 0))
    hint = "Mend what the rules say, or leave error=true out."
    return error("lint-violation", f"lint violation found for rules: {rules}", span, hint)


def _options(dockerfile: Dockerfile, given: str | None) -> Options:
    """The options in force; bad ones, which the parser has told, count for nothing."""
    text = dockerfile.directives.value("check") if given is None else given
    try:
        return lintoptions.parse(text or "")
    except lintoptions.OptionsError:
        return Options()


def _wanted(rule: Rule, finding: Finding, options: Options) -> bool:
    local = lintoptions.from_comments(finding.instruction.comments)
    merged = options if local is None else options.merged(local)
    return merged.wants(rule.name, experimental=rule.experimental)


def _problem(rule: Rule, finding: Finding) -> Problem:
    return Problem(rule.name, "warning", finding.message, finding.span, finding.hint, finding.replacement)
