"""Here-documents: which words open them, where their bodies go."""

from __future__ import annotations

import pytest

from orlop.dockerfile.heredoc import parse_heredoc
from orlop.dockerfile.instructions import Copy, Run
from orlop.dockerfile.parser import parse


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("<<EOF", ("EOF", True, False, 0)),
        ("<<-EOF", ("EOF", True, True, 0)),
        ("3<<EOF", ("EOF", True, False, 3)),
        ('<<"EOF"', ("EOF", False, False, 0)),
        ("<<'EOF'", ("EOF", False, False, 0)),
        ('<<E"O"F', ("EOF", False, False, 0)),
        ("<<-'E'", ("E", False, True, 0)),
        ("<< EOF", ("EOF", True, False, 0)),
        ("<<a.txt", ("a.txt", True, False, 0)),
        ("<<\\EOF", ("EOF", True, False, 0)),
        ("<<$X", ("$X", True, False, 0)),
        ("<<", None),
        ("<<-", None),
        ("<<<EOF", None),
        ("a<<EOF", None),
        ("<EOF", None),
        ("<<'EOF", None),
        ("<<A<<B", None),
        ("EOF", None),
    ],
)
def test_words_that_open_a_heredoc(word, expected):
    start = parse_heredoc(word)
    assert expected == ((start.name, start.expand, start.strip_tabs, start.file_descriptor) if start else None)


def run(text: str) -> Run:
    tree = parse(f"FROM a\n{text}")
    item = tree.instructions[1]
    assert isinstance(item, Run)
    return item


@pytest.mark.parametrize(
    ("text", "bodies"),
    [
        ("RUN <<EOF\na\nb\nEOF\n", ["a\nb\n"]),
        ("RUN <<EOF\nEOF\n", [""]),
        ("RUN <<EOF\nEOF", [""]),
        ("RUN cat <<A <<B\n1\nA\n2\nB\n", ["1\n", "2\n"]),
        ("RUN cat <<A && cat <<'B' | tr x y\n1\nA\n2\nB\n", ["1\n", "2\n"]),
        ("RUN <<EOF\n# kept\n\n a \\\nEOF\n", ["# kept\n\n a \\\n"]),
        ("RUN <<EOF\nEOFX\n EOF\nEOF\n", ["EOFX\n EOF\n"]),
        ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF\n", ["\ta\n\t\tb\n"]),
        ("RUN <<-EOF\n EOF\n\t\tEOF\n", [" EOF\n"]),
        ("RUN <<EOF\r\na\r\nEOF\r\n", ["a\r\n"]),
        ("RUN a \\\n  <<EOF\nb\nEOF\n", ["b\n"]),
        ("RUN --mount=type=tmpfs,target=/x <<EOF\nb\nEOF\n", ["b\n"]),
        ("RUN cat << EOF\nb\nEOF\n", ["b\n"]),
        ("RUN echo $((1<<2))\n", []),
        ("RUN echo '<<EOF'\n", []),
        ('RUN echo "<<EOF"\n', []),
        ("RUN echo it's <<EOF\n", []),
        ("RUN cat <<<EOF\n", []),
        ('RUN ["cat", "<<EOF"]\n', []),
        ("RUN echo ${X:0:3} <<EOF\nb\nEOF\n", ["b\n"]),
        ("RUN echo ${X^^} <<EOF\n", []),
        ("RUN <<EOF\na\n", ["a\n"]),
        ("RUN <<EOF\na", ["a"]),
        ("RUN <<EOF", [""]),
    ],
)
def test_bodies(text, bodies):
    assert bodies == [item.body for item in run(text).heredocs]


def test_leading_tabs_go_when_asked():
    (document,) = run("RUN <<-EOF\n\ta\n\t\t b\n c\tx\n\tEOF\n").heredocs
    assert document.text == "a\n b\n c\tx\n"


def test_no_other_instruction_opens_one():
    tree = parse("FROM a\nENV x=<<EOF\nCMD <<EOF\nLABEL a=<<b\n")
    assert [problem.message for problem in tree.problems] == []
    assert len(tree.instructions) == 4


def test_copy_takes_files_from_heredocs():
    tree = parse('FROM a\nCOPY <<one real <<-"two" /dst/\n1\none\n\t2\n\ttwo\nRUN x\n')
    item = tree.instructions[1]
    assert isinstance(item, Copy)
    assert [word.text for word in item.sources] == ["real"]
    assert [(document.name, document.text, document.expand) for document in item.heredocs] == [
        ("one", "1\n", True),
        ("two", "2\n", False),
    ]
    assert item.lines == (2, 6)
    assert len(tree.instructions) == 3


def test_places_of_word_and_body():
    (document,) = run("RUN cat <<EOF\na\nb\nEOF\n").heredocs
    assert (
        document.source, document.span.start.line, document.span.start.column, document.span.end.column,
    ) == ("<<EOF", 1, 8, 13)  # fmt: skip
    assert (document.body_span.start.line, document.body_span.end.line) == (2, 4)


def test_an_unterminated_heredoc_is_told_at_its_word():
    (problem,) = parse("FROM a\nRUN cat <<EOF\nx\n").problems
    assert (problem.code, problem.span.start.line, problem.span.start.column) == ("unterminated-heredoc", 1, 8)
