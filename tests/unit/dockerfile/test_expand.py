"""Variable expansion: word, environment and result, hundreds of times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.dockerfile.expand import ExpandError, examine, expand, expand_heredoc, expand_words

ENV = {
    "A": "one", "B": "two words", "E": "", "PATHS": "/usr/local/bin:/usr/bin", "N": "A", "F": "archive.tar.gz",
    "U": "äöü", "STARS": "a*b?c", "_x1": "under", "NL": "a\nb", "REP": "aaa", "DOL": "$A", "1": "first", "10": "tenth",
    "Größe": "m",
}  # fmt: skip

PLAIN = [
    ("", ""),
    ("hello", "hello"),
    ("two words", "two words"),
    ("$A", "one"),
    ("${A}", "one"),
    ("x$A", "xone"),
    ("$A.x", "one.x"),
    ("$A-x", "one-x"),
    ("$A$A", "oneone"),
    ("${A}B", "oneB"),
    ("$AB", ""),
    ("$_x1", "under"),
    ("${_x1}z", "underz"),
    ("$B", "two words"),
    ("$E", ""),
    ("x${E}y", "xy"),
    ("$missing", ""),
    ("${missing}", ""),
    ("$Größe", "m"),
    ("$1", "first"),
    ("$10", "tenth"),
    ("$1x", "firstx"),
    ("${10}", "tenth"),
    ("$", "$"),
    ("a$", "a$"),
    ("$ A", "$ A"),
    ("$/x", "$/x"),
    ("$.", "$."),
    ("100$", "100$"),
    ("$(date)", "$(date)"),
    ("$=x", "$=x"),
    # Special parameters are names of one character, and none of them is set.
    ("$@", ""),
    ("$*x", "x"),
    ("$#", ""),
    ("$?", ""),
    ("$-", ""),
    ("$$", ""),
    ("$$A", "A"),
    ("$!", ""),
    ("$0", ""),
    ("${@}", ""),
    # The value is not read again.
    ("$DOL", "$A"),
    ("$N", "A"),
    ("äöü$U", "äöüäöü"),
    ("$NL", "a\nb"),
    ("<", "<"),
    ("<<A", "<<A"),
    ("a<b>c", "a<b>c"),
    ("<< A", "<< A"),
]

QUOTES = [
    ("'$A'", "$A"),
    ("''", ""),
    ('""', ""),
    ('"$A"', "one"),
    ('"${A}"', "one"),
    ("'a b'", "a b"),
    ('"a b"', "a b"),
    ("a'b'c", "abc"),
    ('a"b"c', "abc"),
    ("'a'\"b\"", "ab"),
    ("\"'$A'\"", "'one'"),
    ("'\"$A\"'", '"$A"'),
    ('"it\'s"', "it's"),
    ("'a\\b'", "a\\b"),
    ("'a\\'", "a\\"),
    ('"a\\nb"', "a\\nb"),
    ('"a\\"b"', 'a"b'),
    ('"a\\$A"', "a$A"),
    ('"a\\\\b"', "a\\b"),
    ('"a\\\'b"', "a\\'b"),
    ('"\\a"', "\\a"),
    ("\\$A", "$A"),
    ("\\${A}", "${A}"),
    ("\\\\$A", "\\one"),
    ("a\\ b", "a b"),
    ("a\\b", "ab"),
    ("\\'", "'"),
    ('\\"', '"'),
    ("\\", ""),
    ("a\\", "a"),
    ("he\\'llo", "he'llo"),
    ("he'llo'", "hello"),
    ('he"llo"', "hello"),
    ("he\"'l'lo\"", "he'l'lo"),
    ("${A}'$A'\"$A\"", "one$Aone"),
    ("'<<A'", "<<A"),
]

DEFAULTS = [
    ("${A:-x}", "one"),
    ("${A-x}", "one"),
    ("${E:-x}", "x"),
    ("${E-x}", ""),
    ("${missing:-x}", "x"),
    ("${missing-x}", "x"),
    ("${missing:-}", ""),
    ("${missing-}", ""),
    ("${missing:-a b}", "a b"),
    ("${missing:-$A}", "one"),
    ("${missing:-${A}}", "one"),
    ("${missing:-x$A-y}", "xone-y"),
    ("${missing:-${other:-deep}}", "deep"),
    ("${missing:-${other:-${third-$A}}}", "one"),
    ("${missing:-'q $A'}", "q $A"),
    ('${missing:-"q $A"}', "q one"),
    ("${missing:-'}'}", "}"),
    ("${missing:-\\}}", "}"),
    ("${missing:-a:b}", "a:b"),
    ("${missing:--x}", "-x"),
    ("${missing--x}", "-x"),
    ("${missing:-/usr/bin}", "/usr/bin"),
    ("${1:-x}", "first"),
    ("${2:-x}", "x"),
    ("${@:-x}", "x"),
    ("${A:+x}", "x"),
    ("${A+x}", "x"),
    ("${E:+x}", ""),
    ("${E+x}", "x"),
    ("${missing:+x}", ""),
    ("${missing+x}", ""),
    ("${A:+$B}", "two words"),
    ("${A:+${missing:-y}}", "y"),
    ("${A:+}", ""),
    ("${A:?no}", "one"),
    ("${A?no}", "one"),
    ("${E?no}", ""),
    ("pre${A:+:$A}post", "pre:onepost"),
    ("${PATHS:+$PATHS:}/opt", "/usr/local/bin:/usr/bin:/opt"),
    ("${A:-${missing:?never}}", None),
    ('"${missing:-"a b"}"', "a b"),
    ('"${missing:-x y}"', "x y"),
]

TRIMS = [
    ("${PATHS#*/}", "usr/local/bin:/usr/bin"),
    ("${PATHS##*/}", "bin"),
    ("${PATHS%/*}", "/usr/local/bin:/usr"),
    ("${PATHS%%/*}", ""),
    ("${PATHS%%:*}", "/usr/local/bin"),
    ("${PATHS#*:}", "/usr/bin"),
    ("${F%.gz}", "archive.tar"),
    ("${F%.*}", "archive.tar"),
    ("${F%%.*}", "archive"),
    ("${F#*.}", "tar.gz"),
    ("${F##*.}", "gz"),
    ("${F#archive}", ".tar.gz"),
    ("${F#x}", "archive.tar.gz"),
    ("${F%x}", "archive.tar.gz"),
    ("${F#}", "archive.tar.gz"),
    ("${F%}", "archive.tar.gz"),
    ("${F##}", "archive.tar.gz"),
    ("${F#*}", "archive.tar.gz"),
    ("${F##*}", ""),
    ("${F%*}", "archive.tar.gz"),
    ("${F%%*}", ""),
    ("${F#???????}", ".tar.gz"),
    ("${F%???}", "archive.tar"),
    ("${A#o}", "ne"),
    ("${A#O}", "one"),
    ("${A%e}", "on"),
    ("${A%?}", "on"),
    ("${A#?}", "ne"),
    ("${A#one}", ""),
    ("${A#onex}", "one"),
    ("${STARS#a\\*}", "b?c"),
    ("${STARS#a?}", "b?c"),
    ("${STARS%\\?c}", "a*b"),
    ("${STARS##*\\?}", "c"),
    ("${F%.[gz]}", "archive.tar.gz"),
    ("${F#a.c}", "archive.tar.gz"),
    ("${missing#x}", ""),
    ("${E%%*}", ""),
    ("${F%$missing}", "archive.tar.gz"),
    ("${F%.${missing:-gz}}", "archive.tar"),
    ("${REP#a}", "aa"),
    ("${REP%a}", "aa"),
    ("${REP##*a}", ""),
    ("${U#ä}", "öü"),
    ("${U%?}", "äö"),
    ("${NL#*b}", "a\nb"),
    ("${PATHS##\\/}", "usr/local/bin:/usr/bin"),
]

REPLACEMENTS = [
    ("${F/./-}", "archive-tar.gz"),
    ("${F//./-}", "archive-tar-gz"),
    ("${F/x/y}", "archive.tar.gz"),
    ("${F/archive/}", ".tar.gz"),
    ("${F//r/}", "achive.ta.gz"),
    ("${REP/a/b}", "baa"),
    ("${REP//a/b}", "bbb"),
    ("${REP//aa/b}", "ba"),
    ("${REP//*/b}", "b"),
    ("${REP/*/b}", "b"),
    ("${REP//?/b}", "bbb"),
    ("${REP//a/bb}", "bbbbbb"),
    ("${PATHS//\\//_}", "_usr_local_bin:_usr_bin"),
    ("${PATHS/\\/usr\\/local/}", "/bin:/usr/bin"),
    ("${PATHS/:*/}", "/usr/local/bin"),
    ("${PATHS/*:/}", "/usr/bin"),
    ("${STARS/\\*/x}", "axb?c"),
    ("${STARS/\\?/x}", "a*bxc"),
    ("${F/t?r/zip}", "archive.zip.gz"),
    ("${A/o/$B}", "two wordsne"),
    ("${A/$A/x}", "x"),
    ("${A/${missing:-n}/N}", "oNe"),
    ("${missing/a/b}", ""),
    ("${missing//a/b}", ""),
    ("${U/ö/o}", "äoü"),
    ("${F/[a]/x}", "archive.tar.gz"),
    ("${A/(/x}", "one"),
    ("${A//n/'N N'}", "oN Ne"),
]

WRONG = [
    ("${", "syntax error: missing '}'"),
    ("${A", "syntax error: missing '}'"),
    ("${A:", "syntax error: missing '}'"),
    ("${A:-x", "syntax error: missing '}'"),
    ("${A-", "syntax error: missing '}'"),
    ("${A:-${B}", "syntax error: missing '}'"),
    ("${A:-'x}", "syntax error: missing '}'"),
    ("${A#x", "syntax error: missing '}'"),
    ("${}", "syntax error: bad substitution"),
    ("${{A}", "syntax error: bad substitution"),
    ("${:A}", "syntax error: bad substitution"),
    ("${:}", "syntax error: bad substitution"),
    ("a${}b", "syntax error: bad substitution"),
    ("${A:Y}", "unsupported modifier (:Y) in substitution"),
    ("${A:0:3}", "unsupported modifier (:0) in substitution"),
    ("${A:#x}", "unsupported modifier (:#) in substitution"),
    ("${A:%x}", "unsupported modifier (:%) in substitution"),
    ("${A^^}", "unsupported modifier (^) in substitution"),
    ("${A,}", "unsupported modifier (,) in substitution"),
    ("${A@Q}", "unsupported modifier (@) in substitution"),
    ("${!A}", "unsupported modifier (A) in substitution"),
    ("${#A}", "unsupported modifier (A) in substitution"),
    ("${A.b}", "unsupported modifier (.) in substitution"),
    ("${A b}", "unsupported modifier ( ) in substitution"),
    ("${A/x}", "syntax error: missing '/' in ${}"),
    ("${A/x/y", "syntax error: missing '}'"),
    ("${missing?}", "missing: is not allowed to be unset"),
    ("${missing:?}", "missing: is not allowed to be unset"),
    ("${missing?why}", "missing: why"),
    ("${missing:?must be set}", "missing: must be set"),
    ("${missing:?$A}", "missing: one"),
    ("${E:?}", "E: is not allowed to be empty"),
    ("${E:?fill it}", "E: fill it"),
    ("${A:+${missing?deep}}", "missing: deep"),
    ("'", "unexpected end of statement while looking for matching single-quote"),
    ("a'b", "unexpected end of statement while looking for matching single-quote"),
    ('"', "unexpected end of statement while looking for matching double-quote"),
    ('a"b', "unexpected end of statement while looking for matching double-quote"),
    ('"a\\"', "unexpected end of statement while looking for matching double-quote"),
    ("'it's'", "unexpected end of statement while looking for matching single-quote"),
    ("${A#\\a}", "invalid pattern (\\a) in substitution: invalid escape '\\a'"),
    ("${A/\\n/x}", "invalid pattern (\\n) in substitution: invalid escape '\\n'"),
]

WORDS = [
    ("80", ("80",)),
    ("80 443", ("80", "443")),
    ("  80\t443 ", ("80", "443")),
    ("", ()),
    ("$missing", ()),
    ("$B", ("two", "words")),
    ('"$B"', ("two words",)),
    ("x$B", ("xtwo", "words")),
    ("$B$B", ("two", "wordstwo", "words")),
    ("'a b' c", ("a b", "c")),
    ("a\\ b c", ("a b", "c")),
    ("''", ()),
    ("a '' b", ("a", "b")),
    ("${missing:-3000 4000/udp}", ("3000", "4000/udp")),
]


@pytest.mark.parametrize(("word", "expected"), [*PLAIN, *QUOTES, *DEFAULTS, *TRIMS, *REPLACEMENTS])
def test_a_word_expands_as_a_shell_would(word, expected):
    if expected is None:
        with pytest.raises(ExpandError):
            expand(word, ENV)
    else:
        assert expected == expand(word, ENV)


@pytest.mark.parametrize(("word", "message"), WRONG)
def test_a_wrong_word_is_told_with_itself(word, message):
    with pytest.raises(ExpandError) as caught:
        expand(word, ENV)
    quoted = word.replace("\\", "\\\\").replace('"', '\\"')
    assert f'failed to process "{quoted}": {message}' == str(caught.value)


@pytest.mark.parametrize(("word", "expected"), WORDS)
def test_words_are_split_after_expansion(word, expected):
    assert expected == expand_words(word, ENV)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("`$A", "$A"),
        ("\\$A", "\\one"),
        ("C:\\dir\\$A", "C:\\dir\\one"),
        ("a` b", "a b"),
        ('"a`"b"', 'a"b'),
        ('"a\\nb"', "a\\nb"),
        ("``", "`"),
    ],
)
def test_the_backtick_escapes_where_the_directive_says_so(word, expected):
    assert expected == expand(word, ENV, "`")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("plain\n", "plain\n"),
        ("$A\n", "one\n"),
        ("'$A' \"$B\"\n", "'one' \"two words\"\n"),
        ("it's\n", "it's\n"),
        ("\\$A\n", "$A\n"),
        ("a\\nb\n", "anb\n"),
        ("${missing:-x}\n${E:-y}\n", "x\ny\n"),
        ("a\n\tb $A\n\n", "a\n\tb one\n\n"),
    ],
)
def test_a_heredoc_keeps_its_quotes(body, expected):
    assert expected == expand_heredoc(body, ENV)


@pytest.mark.parametrize(
    ("word", "unset"),
    [
        ("$A", []),
        ("$missing", ["missing"]),
        ("${missing}$other", ["missing", "other"]),
        ("${missing:-x}", []),
        ("${missing+x}", []),
        ("${missing:-$other}", ["other"]),
        ("${missing#x}", ["missing"]),
        ("'$missing'", []),
        ("\\$missing", []),
        ('"$missing"', ["missing"]),
    ],
)
def test_unset_variables_are_told_unless_the_form_provides_for_them(word, unset):
    heard: list[str] = []
    expand(word, ENV, "\\", heard.append)
    assert unset == heard


def test_uses_tell_where_a_name_stands():
    uses = examine("x${A:-$gone}y", ENV).uses
    assert [(use.name, use.start, use.end, use.is_set, use.guarded) for use in uses] == [
        ("gone", 7, 11, False, False),
        ("A", 3, 4, True, True),
    ]


def test_deep_nesting_is_an_error_not_a_crash():
    with pytest.raises(ExpandError, match="nested too deeply"):
        expand("${a:-" * 500 + "x" + "}" * 500, {})


def outcome(function, text, escape):
    """What comes out: the result, or the complaint."""
    try:
        return function(text, ENV, escape)
    except ExpandError as error:
        return error


@given(st.text(), st.sampled_from("\\`"))
def test_any_text_expands_or_says_why_not(text, escape):
    result = outcome(expand, text, escape)
    assert isinstance(result, str) or str(result).startswith("failed to process ")


@given(st.text(alphabet="ab$A{}:-+?#%/'\"\\`<* \n", max_size=30), st.sampled_from("\\`"))
def test_any_mixture_of_marks_expands_or_says_why_not(text, escape):
    for function, kind in ((expand, str), (expand_words, tuple)):
        result = outcome(function, text, escape)
        assert isinstance(result, kind) or str(result).startswith("failed to process ")


@given(st.text(alphabet=st.characters(exclude_characters="$'\"\\`<", exclude_categories=["Cs"])))
def test_text_without_marks_stays(text):
    assert text == expand(text, ENV)
