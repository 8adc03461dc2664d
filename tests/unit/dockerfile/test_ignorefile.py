"""Ignore files: lines and paths with their verdicts, and the fast matcher against a plain one."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.dockerfile.ignorefile import from_patterns, parse_ignore

# Patterns separated by blanks, then what is ignored, then what is not.
TABLE = [
    ("", "", "a a/b .git"),
    ("a", "a a/b a/b/c", "b ab b/a A"),
    ("a/", "a a/b", "b/a"),
    ("/a", "a a/b", "b/a"),
    ("./a", "a a/b", "b/a"),
    ("a/.", "a a/b", "b"),
    ("//a", "a", "b"),
    ("a//b", "a/b a/b/c", "a a/c"),
    ("a/../b", "b b/x", "a"),
    ("../a", "", "a b/a"),
    ("..", "", "a"),
    (".", "", "a a/b"),
    ("/", "", "a"),
    ("a/b", "a/b a/b/c", "a b a/c x/a/b"),
    (".git", ".git .git/config", "a/.git .gitignore"),
    ("node_modules", "node_modules node_modules/x/y", "web/node_modules"),
    ("*", "a a/b .x b.c", ""),
    ("*.log", "x.log .log x.log/y", "a/x.log xlog x.logs"),
    ("*/*.log", "a/x.log", "x.log a/b/x.log"),
    ("**/*.log", "x.log a/x.log a/b/x.log", "x.logs a/log"),
    ("a*", "a ab abc ab/c", "ba b/a"),
    ("*a", "a ba a/b ba/c", "ab b/c/a"),
    ("*a*", "a xax", "b b/xax"),
    ("a*b", "ab axb axxb", "axbc a/b"),
    ("?", "a b a/x", "ab xy/ab"),
    ("a?", "ab ac/x", "a abc"),
    ("a?c", "abc", "a/c ac"),
    ("??", "ab", "a abc"),
    ("[ab]", "a b", "c ab"),
    ("[a-c]x", "ax bx cx", "dx x"),
    ("[^a]", "b c", "a bb"),
    ("[^a-c]x", "dx", "ax bx"),
    ("[a-]", "", "b"),
    ("x[.]y", "x.y", "xay"),
    ("x[*]y", "x*y", "xay"),
    ("\\a", "a", "\\a b"),
    ("\\*", "*", "a"),
    ("\\#a", "#a", "a"),
    ("\\!a", "!a", "a"),
    ("a\\ b", "", "a"),
    ("**", "a a/b a/b/c", ""),
    ("**/", "a a/b", ""),
    ("**/*", "a a/b", ""),
    ("**/a", "a b/a b/c/a a/x b/a/x", "ab ba b/ba"),
    ("**/a/b", "a/b x/a/b x/y/a/b/c", "a b a/x/b"),
    ("a/**", "a/b a/b/c", "a b/a/b"),
    ("a/**/b", "a/b a/x/b a/x/y/b a/b/c", "a b a/x xa/b"),
    ("a/**/*.txt", "a/x.txt a/b/x.txt", "a x.txt b/x.txt"),
    ("**/b/**", "b/c a/b/c", "b a/b c"),
    ("**a", "a ba x/ba x/a", "ab"),
    ("a**", "a ab", "b"),
    ("a**b", "ab ax/b", "axb"),
    ("**.go", "x.go a/x.go .go", "x.gob"),
    ("**/.*", ".a b/.a", "a b/a"),
    ("*/temp*", "x/temp x/tempy/z", "temp x/y/temp"),
    ("*/*/temp*", "x/y/temp", "x/temp"),
    ("temp?", "tempa tempb", "temp tempab"),
    ("a.b", "a.b", "axb a"),
    ("a+b", "a+b", "aab ab"),
    ("(a)", "(a)", "a"),
    ("{a,b}", "{a,b}", "a b"),
    ("a$", "a$", "a"),
    ("^a", "^a", "a"),
    ("a|b", "a|b", "a b"),
    ("é*", "é éa", "e"),
    # The last line that matches decides.
    ("a !a", "", "a a/b"),
    ("!a a", "a a/b", "b"),
    ("a !a a", "a a/b", ""),
    ("* !a", "b .x", "a a/b"),
    ("* !a a/b", "b a/b a/b/c", "a a/c"),
    ("a !a/b", "a a/c a/bb", "a/b a/b/x"),
    ("a !a/b a/b/c", "a a/b/c a/b/c/d", "a/b a/b/d"),
    ("*.md !README.md", "a.md", "README.md a/b.md"),
    ("*.md !README*.md README-secret.md", "a.md README-secret.md", "README.md README-x.md"),
    ("**/*.md !**/README.md", "a.md x/a.md", "README.md x/README.md"),
    ("** !**/*.py", "a a/b.txt", "a.py a/b.py a/b/c.py"),
    ("* !src !package.json", "a.txt dist dist/x", "src src/a package.json"),
    ("* !*/", "", "a a/b"),
    ("a/* !a/b", "a/c a/c/d", "a a/b a/b/x"),
    ("a/** !a/b", "a/c a/c/d", "a a/b a/b/x"),
    ("!a", "", "a b"),
    ("! a", "", "a"),
    ("a ! a/b", "a a/c", ""),
    ("/* !/a", "b", "a a/b"),
    ("**/x !a/x", "x b/x", "a/x a/x/y"),
    ("a/x !a", "a/x a/x/y", "a a/y"),
    ("a/b/c !a/b a/b/d", "a/b/c a/b/d", "a a/b a/b/e"),
    ("**/node_modules !web/node_modules/keep", "node_modules a/node_modules web/node_modules web/node_modules/x",
     "web/node_modules/keep web/node_modules/keep/y web"),
]  # fmt: skip


def lines(text: str) -> str:
    return "\n".join(text.split()).replace("!\n", "! ")


@pytest.mark.parametrize(("patterns", "ignored", "kept"), TABLE)
def test_patterns_ignore_what_they_say(patterns, ignored, kept):
    file = parse_ignore(lines(patterns))
    assert ignored.split() == [path for path in ignored.split() if file.match(path).ignored]
    assert [path for path in kept.split() if file.match(path).ignored] == []


@pytest.mark.parametrize(("patterns", "ignored", "kept"), TABLE)
def test_the_plain_matcher_agrees_with_the_table(patterns, ignored, kept):
    file = parse_ignore(lines(patterns))
    for path in (ignored + " " + kept).split():
        assert (path in ignored.split()) == plain_verdict([(p.negated, p.path.text) for p in file.patterns], path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n", ["a"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("\ufeffa\n", ["a"]),
        ("# a\nb", ["b"]),
        ("\ufeff# a\nb", ["b"]),
        (" # a\n", ["# a"]),
        ("\n\n  \na", ["a"]),
        ("  a  ", ["a"]),
        ("a b", ["a b"]),
        ("a \\\nb", ["a \\", "b"]),
        ("!a", ["!a"]),
        ("! a ", ["! a"]),
    ],
)
def test_lines_are_read_without_blanks_and_comments(text, expected):
    # A lone backslash at the end is malformed; it is told below.
    found = parse_ignore(text)
    texts = [pattern.text for pattern in found.patterns]
    bad = [text.split("\n")[problem.span.start.line].strip() for problem in found.problems]
    assert expected == sorted(texts + bad, key=expected.index)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("!", 'illegal exclusion pattern: "!"', 0),
        ("a\n!\nb", 'illegal exclusion pattern: "!"', 1),
        ("! ", 'illegal exclusion pattern: "!"', 0),
        ("[a", "syntax error in pattern", 0),
        ("a\n[]a]", "syntax error in pattern", 1),
        ("[", "syntax error in pattern", 0),
        ("[^", "syntax error in pattern", 0),
        ("[a-", "syntax error in pattern", 0),
        ("a\\", "syntax error in pattern", 0),
        ("[z-a]", "syntax error in pattern", 0),
    ],
)
def test_malformed_lines_are_told_with_their_place(text, message, line):
    (problem,) = parse_ignore(text).problems
    assert (message, line, "error") == (problem.message, problem.span.start.line, problem.severity)


@pytest.mark.parametrize(
    ("text", "path", "line", "pattern"),
    [
        ("a", "a", 1, "a"),
        ("# c\n\n/a/", "a/b", 3, "/a/"),
        ("a\n!a/b", "a/b", 2, "!a/b"),
        ("a\n!a/b", "a/c", 1, "a"),
        ("a", "b", None, None),
        ("*\n**/*.log", "x.log", 1, "*"),
    ],
)
def test_the_verdict_names_the_line_that_decided(text, path, line, pattern):
    match = parse_ignore(text).match(path)
    assert (line, pattern) == (match.line, match.pattern)


@pytest.mark.parametrize(
    ("patterns", "directory", "expected"),
    [
        ("a", "a", False),
        ("a !b", "a", False),
        ("a !a/b", "a", True),
        ("a !a/b", "a/c", False),
        ("a !a/b/c", "a/b", True),
        ("a !a/b/c", "a/b/c", False),
        ("a !a/*/c", "a/x", True),
        ("a !a/*/c", "a/x/c", False),
        ("a !**/c", "a/x/y", True),
        ("a !*/c", "a", True),
        ("a !b/**", "a", False),
        ("!a/b a", "a", False),
        ("* !x?/keep", "xy", True),
        ("* !x?/keep", "yy", False),
        ("node_modules !package.json !src/**", "node_modules", False),
    ],
)
def test_a_walk_may_skip_what_nothing_brings_back(patterns, directory, expected):
    assert expected == parse_ignore(lines(patterns)).may_reinclude_below(directory)


def test_patterns_that_are_no_file_have_no_comments():
    assert from_patterns(["#a"]).match("#a").ignored
    assert not parse_ignore("#a").match("#a").ignored


def test_the_context_itself_is_never_ignored():
    assert not parse_ignore("*\n**").match(".", is_dir=True).ignored
    assert not parse_ignore("*\n**").match("").ignored


def plain_pattern(pattern: str) -> re.Pattern[str]:
    """moby's rules, written as plainly as they come."""
    out = ""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            first = at == 0
            at += 2
            if pattern.startswith("/", at):
                at += 1
                out += "(.*/)?" if at < len(pattern) else ".*"
            elif at == len(pattern) or (first and not set(pattern[at:]) & set("*?[]\\")):
                out += ".*"
            else:
                out += "(.*/)?"
        elif pattern[at] == "*":
            out += "[^/]*"
            at += 1
        elif pattern[at] == "?":
            out += "[^/]"
            at += 1
        elif pattern[at] == "[":
            end = pattern.index("]", at + 1)
            out += pattern[at : end + 1].replace("[*]", "\\*")
            at = end + 1
        elif pattern[at] == "\\":
            out += re.escape(pattern[at + 1])
            at += 2
        else:
            out += re.escape(pattern[at])
            at += 1
    return re.compile(out + r"\Z", re.DOTALL)


def plain_verdict(patterns: list[tuple[bool, str]], path: str) -> bool:
    """The walk from the top to the path, carrying which pattern matched which parent."""
    inherited = [False] * len(patterns)
    ignored = False
    parts = path.split("/")
    for depth in range(len(parts)):
        here = "/".join(parts[: depth + 1])
        ignored = False
        for index, (negated, text) in enumerate(patterns):
            if not inherited[index]:
                if negated != ignored:
                    continue
                inherited[index] = plain_pattern(text).match(here) is not None
            if inherited[index]:
                ignored = not negated
    return ignored


names = st.sampled_from(["a", "b", "ab", "c.go", ".x"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
pieces = st.sampled_from(["a", "b", "ab", "*", "**", "*.go", "?", "a*", "[ab]", "c.go", "**b", ".x"])
patterns = st.lists(
    st.tuples(st.booleans(), st.lists(pieces, min_size=1, max_size=3).map("/".join)), min_size=1, max_size=5
)


@settings(max_examples=300)
@given(patterns, st.lists(paths, min_size=1, max_size=8))
def test_the_fast_matcher_agrees_with_the_plain_one(chosen, asked):
    file = from_patterns([("!" if negated else "") + text for negated, text in chosen])
    cleaned = [(pattern.negated, pattern.path.text) for pattern in file.patterns]
    for path in asked:
        assert plain_verdict(cleaned, path) == file.match(path).ignored


@settings(max_examples=300)
@given(patterns, paths, paths)
def test_what_may_be_skipped_holds_nothing_that_comes_back(chosen, directory, below):
    file = from_patterns([("!" if negated else "") + text for negated, text in chosen])
    if file.match(directory, is_dir=True).ignored and not file.may_reinclude_below(directory):
        assert file.match(f"{directory}/{below}").ignored


@given(st.text())
def test_any_text_is_an_ignore_file(text):
    file = parse_ignore(text)
    file.match("a/b")
    file.may_reinclude_below("a")


def test_five_thousand_files_are_judged_in_no_time():
    file = parse_ignore(
        ".git\nnode_modules\n**/*.pyc\n**/__pycache__\n*.log\ndist\nbuild/**\n!build/keep\n.env*\n**/.DS_Store\n"
        "docs/**/*.md\n!docs/README.md\ntmp?\ncoverage\n*.tmp\n"
    )
    asked = [f"src/module{i % 50}/part{i % 7}/file{i}.py" for i in range(5250)]
    best = min(timed(file, asked) for _ in range(3))
    assert best < 0.25


def timed(file, asked):
    start = time.perf_counter()
    assert not any(file.match(path).ignored for path in asked)
    return time.perf_counter() - start
