r"""Variable expansion: `$name`, every `${name...}` form, quotes and escapes, in one word.

Source: BuildKit's `frontend/dockerfile/shell/lex.go`; the Dockerfile reference, "Environment replacement".
Quotes vanish, and `'` protects all, `"` all but `$`. Outside quotes the escape character makes the next one literal
and vanishes; inside `"` it does so before `"`, `$` and itself only, and else stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import attrs

from orlop.dockerfile import shellpattern
from orlop.dockerfile.problems import quoted

_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
_MAX_DEPTH = 100
_INTERESTING = re.compile(r"[$'\"\\`]")


class ExpandError(ValueError):
    """A word that cannot be expanded; the text is BuildKit's, from `failed to process` on."""


@attrs.frozen(slots=True)
class Use:
    """One variable named in a word; `start` and `end` are the offsets of its name there.

    `guarded` when the form provides for an unset variable itself: `-`, `+` or `?`.
    """

    name: str
    start: int
    end: int
    is_set: bool
    guarded: bool


@attrs.frozen(slots=True)
class Expansion:
    """A word after expansion, as one text and split at the blanks outside quotes, and the variables it named."""

    text: str
    words: tuple[str, ...]
    uses: tuple[Use, ...]


def expand(word: str, env: Mapping[str, str], escape: str = "\\", on_unset: Callable[[str], None] | None = None) -> str:
    """The word with its variables replaced and its quotes removed.

    An unset variable is empty; `on_unset` hears its name, unless the form itself provides for that (`${x:-y}`).
    Raises `ExpandError`.
    """
    if not _INTERESTING.search(word):
        return word
    return _told(examine(word, env, escape), on_unset).text


def expand_words(
    word: str, env: Mapping[str, str], escape: str = "\\", on_unset: Callable[[str], None] | None = None
) -> tuple[str, ...]:
    """The same, split at blanks outside quotes after expansion, as EXPOSE does; raises `ExpandError`."""
    return _told(examine(word, env, escape), on_unset).words


def expand_heredoc(body: str, env: Mapping[str, str], on_unset: Callable[[str], None] | None = None) -> str:
    r"""The body of an unquoted COPY or ADD here-document; quotes stay, `\` escapes. Raises `ExpandError`.

    The escape character is `\` here, whatever the file's directive says.
    """
    if "$" not in body and "\\" not in body:
        return body
    return _told(_Lexer(body, env, "\\", quotes="ignore").run(), on_unset).text


def examine(word: str, env: Mapping[str, str], escape: str = "\\") -> Expansion:
    """The expansion together with the variables the word names; raises `ExpandError`."""
    return _Lexer(word, env, escape).run()


def split_shell(line: str, *, keep_quotes: bool, keep_escapes: bool) -> tuple[str, ...]:
    r"""The words of a line with every variable left as it is; raises `ExpandError`. The escape character is `\`.

    How BuildKit looks for here-documents in a command.
    """
    lexer = _Lexer(
        line, {}, "\\", quotes="keep" if keep_quotes else "remove", keep_escapes=keep_escapes, keep_unset=True
    )
    return lexer.run().words


def _told(expansion: Expansion, on_unset: Callable[[str], None] | None) -> Expansion:
    if on_unset is not None:
        for use in expansion.uses:
            if not use.is_set and not use.guarded:
                on_unset(use.name)
    return expansion


class _Words:
    """Collects the words of a line while it is expanded."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._current: list[str] = []

    def add(self, text: str) -> None:
        """Text whose blanks separate words."""
        for character in text:
            if not character.isspace():
                self._current.append(character)
            else:
                self.finish()

    def add_raw(self, text: str) -> None:
        """Text whose blanks belong to the word."""
        if text:
            self._current.append(text)

    def finish(self) -> None:
        if self._current:
            self.done.append("".join(self._current))
            self._current = []


class _Lexer:
    """One pass over one word."""

    def __init__(
        self,
        text: str,
        env: Mapping[str, str],
        escape: str,
        *,
        quotes: str = "remove",
        keep_escapes: bool = False,
        keep_unset: bool = False,
    ) -> None:
        self.text = text
        self.env = env
        self.escape = escape
        self.quotes = quotes
        self.keep_escapes = keep_escapes
        self.keep_unset = keep_unset
        self.position = 0
        self.depth = 0
        self.uses: list[Use] = []

    def run(self) -> Expansion:
        words = _Words()
        try:
            text = self._until("", words)
        except ExpandError as error:
            raise ExpandError(f"failed to process {quoted(self.text)}: {error}") from None
        words.finish()
        return Expansion(text, tuple(words.done), tuple(self.uses))

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _next(self) -> str:
        character = self.text[self.position : self.position + 1]
        self.position += 1
        return character

    def _until(self, stop: str, words: _Words) -> str:
        """Everything up to the `stop` character, which is eaten; up to the end for an empty one."""
        out: list[str] = []
        end = len(self.text)
        while self.position < end:
            character = self.text[self.position]
            if character == stop:
                self.position += 1
                return "".join(out)
            if character == "$":
                piece = self._dollar()
                words.add(piece)
            elif character == "<":
                piece = self._angle()
                words.add_raw(piece)
            elif character == "'" and self.quotes != "ignore":
                piece = self._single()
                words.add_raw(piece)
            elif character == '"' and self.quotes != "ignore":
                piece = self._double()
                words.add_raw(piece)
            elif character == self.escape:
                piece = self._escaped()
                words.add_raw(piece)
            else:
                piece = self._next()
                words.add(piece)
            out.append(piece)
        if stop:
            raise ExpandError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(out)

    def _escaped(self) -> str:
        kept = self._next() if self.keep_escapes else ""
        if not self.keep_escapes:
            self.position += 1
        return kept + (self._next() if self.position < len(self.text) else "")

    def _angle(self) -> str:
        """`<`, or `<<` with the blanks behind it, which belong to the word of a here-document."""
        start = self.position
        self.position += 1
        if self._peek() == "<":
            self.position += 1
            while self._peek() and self._peek() in "\t\r ":
                self.position += 1
        return self.text[start : self.position]

    def _single(self) -> str:
        start = self.position
        end = self.text.find("'", start + 1)
        if end < 0:
            self.position = len(self.text)
            raise ExpandError("unexpected end of statement while looking for matching single-quote")
        self.position = end + 1
        return self.text[start : end + 1] if self.quotes == "keep" else self.text[start + 1 : end]

    def _double(self) -> str:
        out = [self._next()] if self.quotes == "keep" else []
        if self.quotes != "keep":
            self.position += 1
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == '"':
                self.position += 1
                if self.quotes == "keep":
                    out.append(character)
                return "".join(out)
            if character == "$":
                out.append(self._dollar())
                continue
            self.position += 1
            if character == self.escape:
                if self.keep_escapes:
                    out.append(character)
                following = self._peek()
                if not following:
                    continue
                if following in ('"', "$", self.escape):
                    character = self._next()
            out.append(character)
        raise ExpandError("unexpected end of statement while looking for matching double-quote")

    def _dollar(self) -> str:
        start = self.position
        self.position += 1
        if self._peek() == "{":
            self.position += 1
            return self._braces(start)
        place = self.position
        name = self._name()
        if not name:
            return "$"
        value = self._value(name, place)
        return self.text[start : self.position] if value is None and self.keep_unset else value or ""

    def _braces(self, start: int) -> str:
        following = self._peek()
        if not following:
            raise ExpandError("syntax error: missing '}'")
        if following in "{}:":
            raise ExpandError("syntax error: bad substitution")
        place = self.position
        name = self._name()
        operator = self._next()
        if not operator:
            raise ExpandError("syntax error: missing '}'")
        if operator == "}":
            value = self._value(name, place)
            return self.text[start : self.position] if value is None and self.keep_unset else value or ""
        if operator == "/":
            return self._replacement(name, place)
        empty_is_unset = operator == ":"
        shown = operator
        if empty_is_unset:
            operator = self._next()
            shown += operator or "\ufffd"
        elif operator not in "+-?#%":
            raise ExpandError(f"unsupported modifier ({shown}) in substitution")
        if empty_is_unset and operator in ("#", "%"):
            raise ExpandError(f"unsupported modifier ({shown}) in substitution")
        word = self._operand("}", "syntax error: missing '}'", raw=operator in ("#", "%"))
        value = self._value(name, place, guarded=operator in ("-", "+", "?"))
        if value is None and self.keep_unset:
            return f"${{{name}{shown}{word}}}"
        if operator in ("#", "%"):
            return self._trimmed(operator, word, value or "")
        return _conditional(name, shown, word, value)

    def _trimmed(self, operator: str, pattern: str, value: str) -> str:
        longest = pattern.startswith(operator)
        if longest:
            pattern = pattern[1:]
        trim = shellpattern.trim_prefix if operator == "#" else shellpattern.trim_suffix
        try:
            return trim(pattern, value, longest=longest)
        except shellpattern.PatternError as error:
            raise ExpandError(str(error)) from None

    def _replacement(self, name: str, place: int) -> str:
        every = self._peek() == "/"
        if every:
            self.position += 1
        pattern = self._operand("/", "syntax error: missing '/' in ${}", raw=True)
        replacement = self._operand("}", "syntax error: missing '}'", raw=True)
        value = self._value(name, place)
        if value is None and self.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        try:
            return shellpattern.replace(pattern, replacement, value or "", every=every)
        except shellpattern.PatternError as error:
            raise ExpandError(str(error)) from None

    def _operand(self, stop: str, missing: str, *, raw: bool) -> str:
        """The word inside a form, itself expanded; `missing` is the complaint when the text ends inside it."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ExpandError("substitutions are nested too deeply")
        kept, self.keep_escapes = self.keep_escapes, raw
        try:
            return self._until(stop, _Words())
        except ExpandError:
            if self.position >= len(self.text):
                raise ExpandError(missing) from None
            raise
        finally:
            self.keep_escapes = kept
            self.depth -= 1

    def _value(self, name: str, place: int, *, guarded: bool = False) -> str | None:
        value = self.env.get(name)
        self.uses.append(Use(name, place, place + len(name), value is not None, guarded))
        return value

    def _name(self) -> str:
        """The longest name at this place: digits, one special parameter, or letters, digits and underscores."""
        text = self.text
        start = end = self.position
        first = text[start : start + 1]
        if first.isdecimal():
            while text[end : end + 1].isdecimal():
                end += 1
        elif first in _SPECIAL_PARAMETERS:
            end += 1
        else:
            while _is_word(text[end : end + 1]):
                end += 1
        self.position = end
        return text[start:end]


def _is_word(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()


def _conditional(name: str, shown: str, word: str, value: str | None) -> str:
    """`${name-word}` and its relatives, by their operator with or without a colon."""
    missing = value is None or (shown[0] == ":" and not value)
    match shown[-1]:
        case "-":
            return word if missing else value or ""
        case "+":
            return "" if missing else word
        case "?" if missing:
            raise ExpandError(f"{name}: {word or ('is not allowed to be unset' if value is None else _EMPTY)}")
        case "?":
            return value or ""
        case _:
            raise ExpandError(f"unsupported modifier ({shown}) in substitution")


_EMPTY = "is not allowed to be empty"
