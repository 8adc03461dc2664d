"""The instructions of a Dockerfile as typed values.

Words that a build expands are kept raw, as `Word`; what it never expands is plain text. Source: the Dockerfile
reference; BuildKit's `instructions/commands.go`.
"""

from __future__ import annotations

import attrs

from orlop.dockerfile.flags import Flag
from orlop.dockerfile.heredoc import Heredoc
from orlop.dockerfile.mounts import Mount
from orlop.dockerfile.position import Span
from orlop.dockerfile.problems import Problem
from orlop.dockerfile.scanner import LogicalLine
from orlop.dockerfile.words import Word

__all__ = [
    "Add", "Arg", "Cmd", "Copy", "Entrypoint", "Env", "Expose", "From", "Healthcheck", "Instruction", "Label",
    "Maintainer", "OnBuild", "Run", "Shell", "Source", "StopSignal", "Unknown", "User", "Volume", "Word", "Workdir",
]  # fmt: skip

Pairs = tuple[tuple[Word, Word], ...]

_NANOSECONDS = 1_000_000_000


@attrs.frozen(slots=True)
class Source:
    """What an instruction is made of: its line, and the offsets of its keyword and arguments there."""

    line: LogicalLine
    keyword: str
    written: str
    keyword_start: int
    keyword_end: int
    start: int
    end: int
    flags: tuple[Flag, ...] = ()


@attrs.frozen(slots=True)
class Instruction:
    """What all instructions have; the classes below are the alternatives."""

    source: Source
    problems: tuple[Problem, ...]

    @property
    def keyword(self) -> str:
        """The keyword in upper case."""
        return self.source.keyword

    @property
    def span(self) -> Span:
        """From the keyword to the last character, without here-documents."""
        return self.source.line.span(self.source.keyword_start, max(self.source.end, self.source.keyword_end))

    @property
    def keyword_span(self) -> Span:
        """The keyword."""
        return self.source.line.span(self.source.keyword_start, self.source.keyword_end)

    @property
    def arguments_span(self) -> Span:
        """All behind the keyword and its flags."""
        return self.source.line.span(self.source.start, self.source.end)

    @property
    def original(self) -> str:
        """The source text with continuations joined, comments removed, and without here-document bodies."""
        return self.source.line.text[self.source.keyword_start :].strip()

    @property
    def lines(self) -> tuple[int, int]:
        """The first and the last line, 1-based, here-documents included."""
        return self.source.line.first + 1, self.source.line.end + 1

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The flags as written, those in error too."""
        return self.source.flags

    @property
    def comments(self) -> tuple[str, ...]:
        """The texts of the comments above."""
        return self.source.line.comments

    def flag(self, name: str) -> Flag | None:
        """The first flag of a name."""
        return next((flag for flag in self.source.flags if flag.name == name), None)


@attrs.frozen(slots=True)
class From(Instruction):
    """`FROM [--platform=P] image [AS name]`: starts a stage; `name` is in lower case, `name_word` as written."""

    image: Word
    platform: Word | None
    name: str | None
    as_word: Word | None
    name_word: Word | None


@attrs.frozen(slots=True)
class Run(Instruction):
    """`RUN`: exactly one of the forms is set. `network` and `security` are None when not given."""

    shell_form: str | None
    exec_form: tuple[str, ...] | None
    heredocs: tuple[Heredoc, ...]
    mounts: tuple[Mount, ...]
    network: str | None
    security: str | None


@attrs.frozen(slots=True)
class Cmd(Instruction):
    """`CMD`: exactly one of the forms is set."""

    shell_form: str | None
    exec_form: tuple[str, ...] | None


@attrs.frozen(slots=True)
class Entrypoint(Instruction):
    """`ENTRYPOINT`: exactly one of the forms is set."""

    shell_form: str | None
    exec_form: tuple[str, ...] | None


@attrs.frozen(slots=True)
class Shell(Instruction):
    """`SHELL ["executable", "arguments"]`."""

    exec_form: tuple[str, ...]


@attrs.frozen(slots=True)
class Env(Instruction):
    """`ENV`; `legacy` for the form `ENV key value`, which has one pair."""

    pairs: Pairs
    legacy: bool


@attrs.frozen(slots=True)
class Label(Instruction):
    """`LABEL`; `legacy` for the form `LABEL key value`, which has one pair."""

    pairs: Pairs
    legacy: bool


@attrs.frozen(slots=True)
class Arg(Instruction):
    """`ARG`: names with their defaults, None for one without `=`; `names` are the same names with their places."""

    entries: tuple[tuple[str, Word | None], ...]
    names: tuple[Word, ...]


@attrs.frozen(slots=True)
class Copy(Instruction):
    """`COPY`: `sources` are those that are no here-documents; `from_` is never expanded."""

    sources: tuple[Word, ...]
    destination: Word
    heredocs: tuple[Heredoc, ...]
    from_: str | None
    chown: Word | None
    chmod: Word | None
    link: bool
    parents: bool
    excludes: tuple[Word, ...]


@attrs.frozen(slots=True)
class Add(Instruction):
    """`ADD`: as `Copy`; `keep_git_dir` and `unpack` are None when not given."""

    sources: tuple[Word, ...]
    destination: Word
    heredocs: tuple[Heredoc, ...]
    chown: Word | None
    chmod: Word | None
    link: bool
    checksum: Word | None
    keep_git_dir: bool | None
    unpack: bool | None
    excludes: tuple[Word, ...]


@attrs.frozen(slots=True)
class Workdir(Instruction):
    """`WORKDIR`."""

    path: Word


@attrs.frozen(slots=True)
class User(Instruction):
    """`USER user[:group]`."""

    user: Word


@attrs.frozen(slots=True)
class Expose(Instruction):
    """`EXPOSE`, in the order written; each word may expand to several."""

    words: tuple[Word, ...]


@attrs.frozen(slots=True)
class Volume(Instruction):
    """`VOLUME`, either form."""

    paths: tuple[Word, ...]


@attrs.frozen(slots=True)
class StopSignal(Instruction):
    """`STOPSIGNAL`."""

    signal: Word


@attrs.frozen(slots=True)
class Healthcheck(Instruction):
    """`HEALTHCHECK`: `none`, or one of the forms. Times are nanoseconds, 0 for the engine's default."""

    none: bool
    shell_form: str | None
    exec_form: tuple[str, ...] | None
    interval_ns: int
    timeout_ns: int
    start_period_ns: int
    start_interval_ns: int
    retries: int

    @property
    def interval(self) -> float:
        """Seconds between two checks."""
        return self.interval_ns / _NANOSECONDS

    @property
    def timeout(self) -> float:
        """Seconds one check may take."""
        return self.timeout_ns / _NANOSECONDS

    @property
    def start_period(self) -> float:
        """Seconds in which failures do not count."""
        return self.start_period_ns / _NANOSECONDS

    @property
    def start_interval(self) -> float:
        """Seconds between two checks in the start period."""
        return self.start_interval_ns / _NANOSECONDS


@attrs.frozen(slots=True)
class OnBuild(Instruction):
    """`ONBUILD`: the trigger's text with its here-documents as the image's configuration stores it, and parsed."""

    text: str
    instruction: Instruction


@attrs.frozen(slots=True)
class Maintainer(Instruction):
    """`MAINTAINER`, deprecated."""

    name: str


@attrs.frozen(slots=True)
class Unknown(Instruction):
    """A line whose first word is no instruction; its problems say so."""
