from __future__ import annotations

import pytest

from orlop.builder import gotext


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("line\nnext\ttab", '"line\\nnext\\ttab"'),
        ("\x01\x7f", '"\\x01\\x7f"'),
        ("é漢", '"é漢"'),
        ("\u00a0\u200b", '"\\u00a0\\u200b"'),
        ("bad \udcff byte", '"bad \\xff byte"'),
        ("it's", '"it\'s"'),
    ],
)
def test_strings_are_quoted_as_go_quotes_them(text: str, expected: str) -> None:
    assert gotext.quote(text) == expected


@pytest.mark.parametrize(
    ("code", "expected"), [(0, "'\\x00'"), (3, "'\\x03'"), (39, "'\\''"), (65, "'A'"), (10, "'\\n'")]
)
def test_integers_are_quoted_as_characters(code: int, expected: str) -> None:
    assert gotext.quote_rune(code) == expected


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (20_000_000, "20ms"),
        (1_500_000_000, "1.5s"),
        (30_000_000_000, "30s"),
        (90_000_000_000, "1m30s"),
        (300_000_000_000, "5m0s"),
        (3_600_000_000_000, "1h0m0s"),
        (-1_000_000, "-1ms"),
    ],
)
def test_durations_read_as_in_go(nanoseconds: int, expected: str) -> None:
    assert gotext.duration(nanoseconds) == expected


def test_lists_read_as_in_go() -> None:
    assert gotext.quote_all(["/bin/sh", "-c", 'echo "x"']) == '["/bin/sh" "-c" "echo \\"x\\""]'
    assert gotext.quote_all([]) == "[]"
    assert gotext.plain_all(["80/tcp", "53/udp"]) == "[80/tcp 53/udp]"
