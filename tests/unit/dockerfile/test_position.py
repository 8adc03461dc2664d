"""Positions and the line index."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orlop.dockerfile.position import LineIndex, Position, Span

TEXT = "ab\r\n\U0001f433x\n\nend"


def test_lines_end_at_newlines_alone():
    index = LineIndex("a\rb\nc\u2028d\x0be")
    assert (len(index), index.line(0), index.line(1)) == (2, "a\rb", "c\u2028d\x0be")


def test_offsets_and_positions_match():
    index = LineIndex(TEXT)
    assert Position(1, 1) == index.position(5)
    assert index.offset(Position(1, 1)) == 5
    assert Position(3, 3) == index.position(99)
    assert len(TEXT) == index.offset(Position(9, 9))
    assert index.offset(Position(0, 99)) == 2
    assert index.offset(Position(-1, 5)) == 0


def test_utf16_columns_count_surrogate_pairs_twice():
    index = LineIndex(TEXT)
    assert index.utf16(Position(1, 1)) == 2
    assert Position(1, 1) == index.from_utf16(1, 2)
    assert Position(1, 0) == index.from_utf16(1, 1)
    assert Position(1, 2) == index.from_utf16(1, 99)


def test_slices_keep_line_endings():
    index = LineIndex(TEXT)
    assert index.slice(0, 0) == "ab\r\n"
    assert index.slice(0, 3) == TEXT
    assert index.line(7) == ""


def test_a_span_contains_its_end():
    span = Span(Position(0, 1), Position(0, 3))
    assert [span.contains(Position(0, column)) for column in range(5)] == [False, True, True, True, False]


@given(st.text(alphabet=st.sampled_from("a\r\n\U0001f433é")), st.integers(0, 40))
def test_every_offset_survives_the_way_there_and_back(text, offset):
    index = LineIndex(text)
    position = index.position(offset)
    # Positions inside a line ending are moved before it.
    if position.column <= len(index.line(position.line)):
        assert min(offset, len(text)) == index.offset(position)
        assert position == index.from_utf16(position.line, index.utf16(position))
