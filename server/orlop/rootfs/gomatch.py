"""File name patterns as Go's `filepath.Match` reads them, one component at a time; no `re`, since workers are lean."""

from __future__ import annotations


def has_pattern(text: str) -> bool:
    """Whether a source may name several files."""
    return any(character in text for character in "*?[\\")


def match(pattern: str, name: str) -> bool:
    r"""Whether `name` fits one component of a pattern: `*`, `?`, `[a-z]`, `[^a]`, and `\\` before any of them."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(match(pattern[1:], name[start:]) for start in range(len(name) + 1))
    if not name:
        return False
    if pattern[0] == "?":
        return match(pattern[1:], name[1:])
    if pattern[0] == "[":
        fits, rest = _class(pattern, name[0])
        return fits and match(rest, name[1:])
    if pattern[0] == "\\" and len(pattern) > 1:
        pattern = pattern[1:]
    return pattern[0] == name[0] and match(pattern[1:], name[1:])


def excluded(patterns: list[str], path: str) -> bool:
    """Whether the last pattern that fits `path` or a parent of it excludes (`!` includes again); `**` is any depth."""
    result = False
    parts = path.split("/")
    for pattern in patterns:
        include = pattern.startswith("!")
        wanted = pattern.lstrip("!").strip("/").split("/")
        if any(_match_parts(wanted, parts[:length]) for length in range(1, len(parts) + 1)):
            result = not include
    return result


def _match_parts(patterns: list[str], parts: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_match_parts(patterns[1:], parts[start:]) for start in range(len(parts) + 1))
    return bool(parts) and match(patterns[0], parts[0]) and _match_parts(patterns[1:], parts[1:])


def _class(pattern: str, character: str) -> tuple[bool, str]:
    end = pattern.find("]", 2)
    if end < 0:
        return False, ""
    body = pattern[1:end]
    negated = body.startswith("^")
    body = body[1:] if negated else body
    fits = False
    position = 0
    while position < len(body):
        if body[position] == "\\" and position + 1 < len(body):
            position += 1
        low = high = body[position]
        if position + 2 < len(body) and body[position + 1] == "-":
            high = body[position + 2]
            position += 2
        fits = fits or low <= character <= high
        position += 1
    return fits != negated, pattern[end + 1 :]
