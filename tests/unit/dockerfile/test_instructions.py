"""Each instruction: what is written, what is read."""

from __future__ import annotations

import pytest

from orlop.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    Unknown,
    User,
    Volume,
    Workdir,
)
from orlop.dockerfile.parser import parse
from orlop.dockerfile.position import Span


def read(text: str, escape: str = "\\") -> Instruction:
    """The one instruction of a text; a stage is opened for it."""
    head = f"# escape={escape}\n" if escape != "\\" else ""
    tree = parse(f"{head}FROM scratch\n{text}")
    assert len(tree.instructions) == 2
    return tree.instructions[1]


def shown(span: Span) -> tuple[int, int, int, int]:
    return span.start.line, span.start.column, span.end.line, span.end.column


def errors(text: str) -> list[str]:
    return [problem.message for problem in read(text).problems if problem.severity == "error"]


@pytest.mark.parametrize(
    ("text", "image", "platform", "name"),
    [
        ("FROM alpine", "alpine", None, None),
        ("from alpine as x", "alpine", None, "x"),
        ("FROM alpine AS Build-1.x_y", "alpine", None, "build-1.x_y"),
        ("FROM --platform=linux/arm64 a:b@sha256:c", "a:b@sha256:c", "linux/arm64", None),
        ("FROM --platform= a", "a", None, None),
        ("FROM\t$IMAGE\tAS\tx", "$IMAGE", None, "x"),
        ("FROM a \\\n  AS \\\n  b", "a", None, "b"),
    ],
)
def test_from(text, image, platform, name):
    item = parse(text).instructions[0]
    assert isinstance(item, From)
    assert (image, platform, name) == (item.image.text, item.platform.text if item.platform else None, item.name)
    assert item.problems == ()


@pytest.mark.parametrize(
    ("text", "shell_form", "exec_form"),
    [
        ("CMD echo hi", "echo hi", None),
        ("CMD   echo   hi  ", "echo   hi", None),
        ('CMD ["a", "b c"]', None, ("a", "b c")),
        ("CMD []", None, ()),
        ("CMD", "", None),
        ("CMD [\"a\", 'b']", "[\"a\", 'b']", None),
        ('CMD ["a"] x', '["a"] x', None),
        ("CMD a \\\n    b", "a     b", None),
        ("CMD a\\\nb", "ab", None),
        ("CMD a \\\n# comment\n  # another\nb", "a b", None),
        ("CMD a # no comment", "a # no comment", None),
        ("CMD a \\  \nb", "a b", None),
        ("CMD a \\\\\n", "a \\\\", None),
        ("CMD a \\", "a ", None),
        ("CMD a \\\n\n\nb", "a b", None),
        ("cmd a", "a", None),
    ],
)
def test_cmd_and_continuations(text, shell_form, exec_form):
    item = read(text)
    assert isinstance(item, Cmd)
    # The end of the arguments is trimmed.
    assert ((shell_form.strip() if shell_form else shell_form), exec_form) == (item.shell_form, item.exec_form)
    assert item.keyword == "CMD"


def test_entrypoint_has_both_forms():
    first, second = read("ENTRYPOINT x y"), read('ENTRYPOINT ["x"]')
    assert isinstance(first, Entrypoint)
    assert isinstance(second, Entrypoint)
    assert (first.shell_form, first.exec_form, second.shell_form, second.exec_form) == ("x y", None, None, ("x",))


def test_the_backtick_continues_and_the_backslash_does_not():
    item = read("CMD dir C:\\ `\n  & more", "`")
    assert isinstance(item, Cmd)
    assert item.shell_form == "dir C:\\   & more"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("ENV a=b", [("a", "b")]),
        ("ENV a=b c=d", [("a", "b"), ("c", "d")]),
        ('ENV a="b c" d', None),
        ('ENV a="b c" d=e', [("a", '"b c"'), ("d", "e")]),
        ("ENV a='b c'", [("a", "'b c'")]),
        ("ENV a=b\\ c", [("a", "b\\ c")]),
        ("ENV a=", [("a", "")]),
        ("ENV a==b=c", [("a", "=b=c")]),
        ("ENV a=b\\", [("a", "b")]),
        ("ENV a b", [("a", "b")]),
        ("ENV a b c  d", [("a", "b c  d")]),
        ("ENV a b=c", [("a", "b=c")]),
        ("ENV a \\\n  b", [("a", "b")]),
        ('ENV "a b"=c', [('"a b"', "c")]),
        ("ENV a='it''s' b=1", [("a", "'it''s'"), ("b", "1")]),
        ('ENV a="x \\" y" b=2', [("a", '"x \\" y"'), ("b", "2")]),
        ("ENV a=b \\\n    c=d \\\n    e=f", [("a", "b"), ("c", "d"), ("e", "f")]),
        ("ENV $a=$b", [("$a", "$b")]),
    ],
)
def test_env(text, pairs):
    item = read(text)
    assert isinstance(item, Env)
    if pairs is None:
        assert item.problems
    else:
        assert pairs == [(name.text, value.text) for name, value in item.pairs]
        assert item.problems == ()


def test_label_is_read_as_env():
    item = read('LABEL "a b"=c d="e f"')
    assert isinstance(item, Label)
    assert [(name.text, value.text) for name, value in item.pairs] == [('"a b"', "c"), ("d", '"e f"')]
    legacy = read("LABEL a b c")
    assert isinstance(legacy, Label)
    assert legacy.legacy


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("ARG a", [("a", None)]),
        ("ARG a=", [("a", "")]),
        ("ARG a=b c d=e", [("a", "b"), ("c", None), ("d", "e")]),
        ('ARG a="b c"', [("a", '"b c"')]),
        ("ARG a=b=c", [("a", "b=c")]),
        ("ARG --ignored=x a", [("a", None)]),
    ],
)
def test_arg(text, entries):
    item = read(text)
    assert isinstance(item, Arg)
    assert entries == [(name, value.text if value else None) for name, value in item.entries]
    assert [name for name, _ in entries] == [word.text for word in item.names]
    assert item.problems == ()


@pytest.mark.parametrize(
    ("text", "sources", "destination"),
    [
        ("COPY a b", ["a"], "b"),
        ("COPY a b c/", ["a", "b"], "c/"),
        ('COPY ["a b", "c"]', ["a b"], "c"),
        ('COPY "a b" c', ['"a', 'b"'], "c"),
        ("COPY a\\ b c", ["a\\", "b"], "c"),
        ('COPY ["", "/x"]', [""], "/x"),
        ("COPY -- --a b", ["--a"], "b"),
        ("COPY a \\\n  b", ["a"], "b"),
        ("COPY --link -- a b", ["a"], "b"),
    ],
)
def test_copy_sources(text, sources, destination):
    item = read(text)
    assert isinstance(item, Copy)
    assert (sources, destination) == ([word.text for word in item.sources], item.destination.text)
    assert item.problems == ()


def test_copy_flags():
    item = read("COPY --from=x --chown=a:b --chmod=755 --link --parents=false --exclude=*.a --exclude='b c' s d")
    assert isinstance(item, Copy)
    assert item.chown
    assert item.chmod
    assert (
        item.from_, item.chown.text, item.chmod.text, item.link, item.parents, [word.text for word in item.excludes],
    ) == ("x", "a:b", "755", True, False, ["*.a", "b c"])  # fmt: skip


def test_add_flags():
    item = read("ADD --checksum=sha256:0 --keep-git-dir=true --unpack=FALSE https://x /y")
    assert isinstance(item, Add)
    assert item.checksum
    assert (item.checksum.text, item.keep_git_dir, item.unpack) == ("sha256:0", True, False)
    plain = read("ADD a b")
    assert isinstance(plain, Add)
    assert (plain.checksum, plain.keep_git_dir, plain.unpack) == (None, None, None)


def test_run_flags():
    item = read("RUN --network=none --security=insecure --device=a --mount=type=tmpfs,target=/x --mount=target=/y cmd")
    assert isinstance(item, Run)
    assert (item.network, item.security, len(item.mounts), item.shell_form) == ("none", "insecure", 2, "cmd")
    assert item.problems == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HEALTHCHECK NONE", (True, None, None, 0, 0)),
        ("healthcheck cmd a b", (False, "a b", None, 0, 0)),
        ('HEALTHCHECK CMD ["a"]', (False, None, ("a",), 0, 0)),
        ("HEALTHCHECK --interval=1.5s --retries=3 CMD x", (False, "x", None, 1_500_000_000, 3)),
        ("HEALTHCHECK --interval=0s --retries=0 CMD x", (False, "x", None, 0, 0)),
        ("HEALTHCHECK --interval=1x NONE", (True, None, None, 0, 0)),
    ],
)
def test_healthcheck(text, expected):
    item = read(text)
    assert isinstance(item, Healthcheck)
    assert expected == (item.none, item.shell_form, item.exec_form, item.interval_ns, item.retries)
    assert item.problems == ()


def test_healthcheck_times_are_seconds_too():
    item = read("HEALTHCHECK --interval=1.5s --timeout=2s --start-period=3s --start-interval=250ms CMD x")
    assert isinstance(item, Healthcheck)
    assert (item.interval, item.timeout, item.start_period, item.start_interval) == (1.5, 2.0, 3.0, 0.25)


def test_the_plain_ones():
    shell, workdir, user = read('SHELL ["a", "-c"]'), read("WORKDIR /a b "), read("USER $u:g")
    stop, expose, volume = read("STOPSIGNAL SIGTERM"), read("EXPOSE 80 443/tcp"), read('VOLUME ["/a", " /b "]')
    maintainer = read("MAINTAINER A <b>")
    assert isinstance(shell, Shell)
    assert isinstance(workdir, Workdir)
    assert isinstance(user, User)
    assert isinstance(stop, StopSignal)
    assert isinstance(expose, Expose)
    assert isinstance(volume, Volume)
    assert isinstance(maintainer, Maintainer)
    assert (
        shell.exec_form, workdir.path.text, user.user.text, stop.signal.text,
    ) == (("a", "-c"), "/a b", "$u:g", "SIGTERM")  # fmt: skip
    assert [word.text for word in expose.words] == ["80", "443/tcp"]
    assert [word.text for word in volume.paths] == ["/a", "/b"]
    assert maintainer.name == "A <b>"


@pytest.mark.parametrize(
    ("text", "stored", "inner"),
    [
        ("ONBUILD RUN x  y", "RUN x  y", Run),
        ("onbuild   copy a b", "copy a b", Copy),
        ("ONBUILD RUN a \\\n  b", "RUN a   b", Run),
        ("ONBUILD COPY <<A <<B /x\n1\nA\n2\nB\n", "COPY <<A <<B /x\n1\nA\n2\nB", Copy),
        ("ONBUILD ENV a=b", "ENV a=b", Env),
    ],
)
def test_onbuild_stores_its_text_and_reads_it(text, stored, inner):
    item = read(text)
    assert isinstance(item, OnBuild)
    assert stored == item.text
    assert isinstance(item.instruction, inner)
    assert item.problems == ()


def test_a_broken_trigger_only_warns():
    item = read("ONBUILD COPY a")
    assert [problem.severity for problem in item.problems] == ["warning"]
    assert [problem.severity for problem in read("ONBUILD ENV a").problems] == ["error"]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("FNTRYPOINT x", ["unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)"]),
        ("fntrypoint x", ["unknown instruction: fntrypoint (did you mean entrypoint?)"]),
        ("XYZZY", ["unknown instruction: XYZZY"]),
        ("RUN --mont=type=tmpfs x", ["unknown flag: --mont (did you mean mount?)"]),
        ("RUN --x --y z", ["unknown flag: --x", "unknown flag: --y"]),
        ("COPY --chown=a --chown=b c d", ["duplicate flag specified: --chown"]),
        ("COPY --link --link a b", ["duplicate flag specified: --link"]),
        ("COPY --link=maybe a b", ["expecting boolean value for flag --link, not: maybe"]),
        ("COPY --link= a b", ["missing a value on flag: --link"]),
        ("COPY --chown a b", ["missing a value on flag: --chown"]),
        ("RUN --mount x", ["missing a value on flag: --mount"]),
        ("ENV --a=b c=d", ["unknown flag: --a"]),
        ("RUN --network=foo x", ['invalid network mode "foo"']),
        ("RUN --security=foo x", ['security "foo" is not valid']),
        ("RUN --mount=from=$X,target=/a x", ["'from' doesn't support variable expansion, define alias stage instead"]),
        ('RUN --mount=a\\"b x', ['failed to parse csv mounts: parse error on line 1, column 2: bare " in non-quoted field']),
        ("COPY a", [COPY := "COPY requires at least two arguments, but only one was provided. "
         "Destination could not be determined"]),
        ("COPY", [COPY]),
        ("COPY []", [COPY]),
        ("ADD a", [COPY.replace("COPY", "ADD")]),
        ("COPY a <<EOF\nEOF", ["COPY cannot accept a heredoc as a destination"]),
        ("WORKDIR", ["WORKDIR requires exactly one argument"]),
        ("USER", ["USER requires exactly one argument"]),
        ("STOPSIGNAL", ["STOPSIGNAL requires exactly one argument"]),
        ("MAINTAINER", ["MAINTAINER requires exactly one argument"]),
        ("ENV", ["ENV requires at least one argument"]),
        ("LABEL", ["LABEL requires at least one argument"]),
        ("ARG", ["ARG requires at least one argument"]),
        ("EXPOSE", ["EXPOSE requires at least one argument"]),
        ("VOLUME", ["VOLUME requires at least one argument"]),
        ("VOLUME []", ["VOLUME requires at least one argument"]),
        ("SHELL", ["SHELL requires at least one argument"]),
        ("SHELL []", ["SHELL requires at least one argument"]),
        ("ONBUILD", ["ONBUILD requires at least one argument"]),
        ("HEALTHCHECK", ["HEALTHCHECK requires at least one argument"]),
        ("ENV x", ["ENV must have two arguments"]),
        ("LABEL x", ["LABEL must have two arguments"]),
        ("ENV a=1 b", [MISSING := 'Syntax error - can\'t find = in "b". Must be of the form: name=value']),
        ("LABEL a=1 b", [MISSING]),
        ("ENV a=1 b c", [MISSING, MISSING.replace('"b"', '"c"')]),
        ("ENV =x", ["ENV names can not be blank"]),
        ("ARG =x", ["ARG names can not be blank"]),
        ('VOLUME [""]', ["VOLUME specified can not be an empty string"]),
        ("SHELL powershell", ["SHELL requires the arguments to be in JSON form"]),
        ('CMD ["a", 1]', [STRINGS := "when using JSON array syntax, arrays must be comprised of strings only"]),
        ("SHELL [1]", [STRINGS]),
        ("VOLUME [null]", [STRINGS]),
        ("ONBUILD ONBUILD x", ["Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"]),
        ("ONBUILD from x", ["FROM isn't allowed as an ONBUILD trigger"]),
        ("ONBUILD MAINTAINER x", ["MAINTAINER isn't allowed as an ONBUILD trigger"]),
        ("HEALTHCHECK NONE x", ["HEALTHCHECK NONE takes no arguments"]),
        ("HEALTHCHECK CMD", ["Missing command after HEALTHCHECK CMD"]),
        ("HEALTHCHECK CMD []", ["Missing command after HEALTHCHECK CMD"]),
        ("HEALTHCHECK run x", ['Unknown type "RUN" in HEALTHCHECK (try CMD)']),
        ("HEALTHCHECK --interval=1us CMD x", ['Interval "interval" cannot be less than 1ms']),
        ("HEALTHCHECK --interval=-1s CMD x", ['Interval "interval" cannot be less than 1ms']),
        ("HEALTHCHECK --timeout=10 CMD x", ['time: missing unit in duration "10"']),
        ("HEALTHCHECK --retries=-1 CMD x", ["--retries cannot be negative (-1)"]),
        ("HEALTHCHECK --retries=x CMD x", ['strconv.ParseInt: parsing "x": invalid syntax']),
        ("HEALTHCHECK --retries=9999999999 CMD x", ['strconv.ParseInt: parsing "9999999999": value out of range']),
        ("RUN <<EOF\nx", []),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_buildkits_words(text, messages):
    assert messages == errors(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the Dockerfile cannot be empty"),
        ("# only\n\n", "file with no instructions"),
        ("\n", "file with no instructions"),
        ("ARG a=1\n", "dockerfile contains no stages to build"),
        ("RUN x\n", "no build stage in current context"),
        ("RUN x\nCOPY a b\nFROM y\n", "no build stage in current context"),
        ("FROM\n", "FROM requires either one or three arguments"),
        ("FROM a b\n", "FROM requires either one or three arguments"),
        ("FROM a is b\n", "FROM requires either one or three arguments"),
        ("FROM a AS b c\n", "FROM requires either one or three arguments"),
        ("FROM a AS 1x\n", 'invalid name for build stage: "1x", name can\'t start with a number or contain symbols'),
        ("FROM a AS x/y\n", 'invalid name for build stage: "x/y", name can\'t start with a number or contain symbols'),
        ("# escape=x\nFROM a\n", "invalid escape token 'x' does not match ` or \\"),
        ("# escape=`\n# escape=\\\nFROM a\n", "only one escape parser directive can be used"),
        ("# syntax=a/dockerfile\n# Syntax=b/dockerfile\nFROM a\n", "only one syntax parser directive can be used"),
        ("# check=skp=A\nFROM a\n", 'failed to parse check options: invalid check option "skp"'),
        ("FROM a\nRUN <<EOF\nx\n", "unterminated heredoc"),
        ("FROM a\nRUN " + "x" * 70000, "dockerfile line greater than max allowed size of 65535"),
    ],
)
def test_files_that_cannot_be_built_say_so(text, message):
    assert [message] == [problem.message for problem in parse(text).problems]


def test_all_mistakes_are_told_at_once():
    tree = parse("FROM a b\nENV x\nRUNN y\nCOPY z\n")
    assert [problem.span.start.line for problem in tree.problems] == [0, 1, 2, 3]


def test_words_know_their_places_through_continuations():
    item = read("ENV a=b \\\n   # c\n   cc=dd")
    assert isinstance(item, Env)
    (_, first), (name, value) = item.pairs
    assert [shown(word.span) for word in (first, name, value)] == [(1, 6, 1, 7), (3, 3, 3, 5), (3, 6, 3, 8)]
    assert shown(item.span) == (1, 0, 3, 8)
    assert item.lines == (2, 4)
    assert item.original == "ENV a=b    cc=dd"


def test_a_word_over_a_continuation_has_one_span():
    item = read("COPY long\\\nname /x")
    assert isinstance(item, Copy)
    assert (item.sources[0].text, shown(item.sources[0].span)) == ("longname", (1, 5, 2, 4))


def test_flags_know_their_parts():
    item = read("COPY --chown=a:b \\\n --link x y")
    chown = item.flag("chown")
    assert chown
    assert [shown(span) for span in (chown.span, chown.name_span, chown.value_span)] == [
        (1, 5, 1, 16),
        (1, 5, 1, 12),
        (1, 13, 1, 16),
    ]
    link = item.flag("link")
    assert link
    assert shown(link.span) == (2, 1, 2, 7)
    assert item.flag("from") is None


def test_json_elements_have_spans_with_their_quotes():
    item = read('COPY ["a b", "/c"]')
    assert isinstance(item, Copy)
    assert shown(item.sources[0].span) == (1, 6, 1, 11)


def test_an_unknown_instruction_stays_in_the_tree():
    assert isinstance(read("FOO bar"), Unknown)


def test_single_quotes_in_brackets_are_pointed_out():
    (problem,) = read("CMD ['a', 'b']").problems
    assert (problem.code, problem.severity) == ("json-single-quotes", "warning")
    assert read("RUN [ 'a' = 'b' ] && x").problems == ()


def test_comments_above_belong_to_the_instruction():
    tree = parse("# one\n# two\nFROM a\n# gone\n#\n# three\n\nRUN x\n")
    assert [item.comments for item in tree.instructions] == [("one", "two"), ("three",)]
