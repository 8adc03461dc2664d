from __future__ import annotations

import pytest

from orlop.builder import globs


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "anything", True),
        ("*", ".hidden", True),
        ("*.md", "readme.md", True),
        ("*.md", "readme.mdx", False),
        ("?", "a", True),
        ("?", "ab", False),
        ("[abc]x", "bx", True),
        ("[a-c]x", "dx", False),
        ("[^a-c]x", "dx", True),
        ("[^a-c]x", "ax", False),
        ("[[]", "[", True),
        ("a[[]b]", "a[b]", True),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("[\\]]", "]", True),
        ("[c-a]", "b", False),
        ("a.b", "axb", False),
        ("*\n*", "a\nb", True),
    ],
)
def test_components_match_as_in_go(pattern: str, name: str, expected: bool) -> None:
    assert globs.matcher(pattern)(name) is expected


@pytest.mark.parametrize("pattern", ["[", "[a", "[]", "[]a]", "[-]", "[x-]", "[-x]", "a\\", "[a-", "[^]"])
def test_malformed_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(globs.BadPatternError):
        globs.matcher(pattern)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("plain", False), ("a*", True), ("a\\*", False), ("a\\\\*", True), ("x?", True), ("[a]", True)],
)
def test_only_unescaped_magic_makes_a_wildcard(pattern: str, expected: bool) -> None:
    assert globs.has_wildcard(pattern) is expected
