"""The small grammars: CSV, durations, JSON form, platforms, ports, image names, lint options."""

from __future__ import annotations

import csv as standard_csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.dockerfile import csv, durations, imagename, jsonform, lintoptions, platforms, ports, semantics


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a,,b", ["a", "", "b"]),
        ("a,", ["a", ""]),
        (",", ["", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a""b"', ['a"b']),
        ('""', [""]),
        ('"a",', ["a", ""]),
        ("type=bind,target=/x y", ["type=bind", "target=/x y"]),
    ],
)
def test_csv_fields(line, expected):
    assert expected == [cell.text for cell in csv.split(line)]


@pytest.mark.parametrize("line", ["", 'a"b', '"a', '"a"b', '"a""', 'x,"'])
def test_csv_with_stray_quotes_is_refused(line):
    with pytest.raises(csv.CsvError):
        csv.split(line)


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1))
def test_csv_agrees_with_the_standard_library(fields):
    line = ",".join('"' + field.replace('"', '""') + '"' for field in fields)
    assert next(standard_csv.reader([line])) == [cell.text for cell in csv.split(line)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("0s", 0),
        ("1s", 10**9),
        ("30s", 30 * 10**9),
        ("1m30s", 90 * 10**9),
        ("1.5h", 5400 * 10**9),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        ("100ms", 10**8),
        ("1us", 1000),
        ("1µs", 1000),
        ("7ns", 7),
        ("-1s", -(10**9)),
        ("+1s", 10**9),
        ("1h2m3s4ms", 3723004 * 10**6),
    ],
)
def test_durations_as_go_reads_them(text, expected):
    assert expected == durations.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("x", 'time: invalid duration "x"'),
        ("10", 'time: missing unit in duration "10"'),
        ("10x", 'time: unknown unit "x" in duration "10x"'),
        ("1s2", 'time: missing unit in duration "1s2"'),
        (".s", 'time: invalid duration ".s"'),
        ("1s ", 'time: unknown unit "s " in duration "1s "'),
        ("-", 'time: invalid duration "-"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_wrong_durations_are_told_in_gos_words(text, message):
    with pytest.raises(durations.DurationError) as caught:
        durations.parse(text)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", []),
        ('["a"]', ["a"]),
        ('[ "a" , "b c" ]', ["a", "b c"]),
        ('["a\\nb", "\\u0041", "\\"q\\""]', ["a\nb", "A", '"q"']),
        ('["\\ud83d\\udc33"]', ["\U0001f433"]),
        ('["\\ud83d"]', ["\ufffd"]),
        ("['a']", None),
        ('["a",]', None),
        ('["a" "b"]', None),
        ('["a"', None),
        ('["a"] x', None),
        ('["a\tb"]', None),
        ("[NaN]", None),
        ("[x]", None),
        ("a", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_json_form_or_silently_none(text, expected):
    items = jsonform.parse(text)
    assert expected == (None if items is None else [item.text for item in items])


@pytest.mark.parametrize("text", ['["a", 1]', "[1]", "[null]", '[["a"]]', '[{"a": "b"}]', "[true]", f"[{'9' * 5000}]"])
def test_arrays_of_other_things_are_an_error(text):
    with pytest.raises(jsonform.NotStringsError, match="arrays must be comprised of strings only"):
        jsonform.parse(text)


def test_json_elements_know_their_places():
    text = '[ "a", "b\\"c" ]'
    items = jsonform.parse(text)
    assert items is not None
    assert [text[item.start : item.end] for item in items] == ['"a"', '"b\\"c"']


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("alpine", None),
        ("alpine:3.19", None),
        ("library/alpine", None),
        ("ghcr.io/a/b:c", None),
        ("localhost/x", None),
        ("localhost:5000/x:y", None),
        ("a/b/c-d__e.f", None),
        (f"a@sha256:{'0' * 64}", None),
        (f"a:b@sha256:{'0' * 64}", None),
        ("[::1]:5000/x", None),
        ("Host/x", None),
        ("", "invalid reference format"),
        ("a:", "invalid reference format"),
        (":a", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a:b:c", "invalid reference format"),
        ("a@sha256:0", "invalid reference format"),
        ("Bad", "invalid reference format: repository name (library/Bad) must be lowercase"),
        ("ghcr.io/A/b", "invalid reference format: repository name (A/b) must be lowercase"),
        ("a" * 300, "repository name must not be more than 255 characters"),
        ("0" * 64, f"invalid repository name ({'0' * 64}), cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_image_names(name, complaint):
    assert complaint == imagename.complaint(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", ("linux", "amd64")),
        ("linux/arm/v7", ("linux", "arm")),
        ("Linux/X86_64", ("linux", "amd64")),
        ("linux", ("linux", None)),
        ("arm64", (None, "arm64")),
        ("aarch64", (None, "arm64")),
        ("macos", ("darwin", None)),
        ("what/ever", ("what", "ever")),
    ],
)
def test_platforms(text, expected):
    platform = platforms.parse(text)
    assert expected == (platform.system, platform.architecture)


@pytest.mark.parametrize("text", ["", "x", "*", "linux/*", "a/b/c/d", "linux/", "a b", "/amd64"])
def test_wrong_platforms_are_refused(text):
    with pytest.raises(platforms.PlatformError):
        platforms.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", (80, 80, "tcp", False)),
        ("53/udp", (53, 53, "udp", False)),
        ("80/TCP", (80, 80, "TCP", False)),
        ("1-3", (1, 3, "tcp", False)),
        ("7-7/sctp", (7, 7, "sctp", False)),
        ("80/", (80, 80, "tcp", False)),
        ("8080:80", (80, 80, "tcp", True)),
        ("127.0.0.1::80", (80, 80, "tcp", True)),
        ("127.0.0.1:8080:80/udp", (80, 80, "udp", True)),
        ("[::1]:8080:80", (80, 80, "tcp", True)),
        ("8000-8010:80", (80, 80, "tcp", True)),
        ("0", (0, 0, "tcp", False)),
        ("65535", (65535, 65535, "tcp", False)),
    ],
)
def test_ports(text, expected):
    port = ports.parse(text)
    assert expected == (port.first, port.last, port.protocol, port.has_host)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http", "invalid containerPort: http"),
        ("80/http", 'invalid port: "80/http": invalid proto: http'),
        ("/tcp", 'invalid port: "/tcp": no port specified'),
        ("3-1", "invalid containerPort: 3-1"),
        ("65536", "invalid containerPort: 65536"),
        ("99999999999999999999", "invalid containerPort: 99999999999999999999"),
        ("-1", "invalid containerPort: -1"),
        ("x:80", "invalid hostPort: x"),
        ("host:1:80", "invalid IP address: host"),
        ("1-3:1-2", "invalid ranges specified for container and host Ports: 1-2 and 1-3"),
    ],
)
def test_wrong_ports_are_told_in_buildkits_words(text, message):
    with pytest.raises(ports.PortError) as caught:
        ports.parse(text)
    assert message == str(caught.value)


@pytest.mark.parametrize("mode", ["0", "644", "0755", "7777", "u=rwX,go=rX", "a+x", "-w", "u+rw,o=", "g=u"])
def test_modes_that_work(mode):
    assert semantics.check_mode(mode) is None


@pytest.mark.parametrize("mode", ["64a", "888", "10000", "u", "rwx", "u=z", "0o755", "u=r,", ",", "999999999999"])
def test_modes_that_do_not(mode):
    assert semantics.check_mode(mode) == (
        f"invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
    )


@pytest.mark.parametrize("name", ["SIGTERM", "term", "9", "SIGRTMIN", "RTMIN+15", "rtmax-14", "15"])
def test_signals_that_exist(name):
    assert semantics.check_signal(name) is None


@pytest.mark.parametrize("name", ["FOO", "0", "SIGRTMIN+16", "RTMAX-15", "SIG", "", "SIG9"])
def test_signals_that_do_not(name):
    assert f"invalid signal: {name}" == semantics.check_signal(name)


def test_lint_options_are_read():
    options = lintoptions.parse(" skip=A, B ;error=true;experimental=all")
    assert (frozenset("AB"), True, True) == (options.skip, options.fail, options.experimental_all)
    assert [
        options.wants("A", experimental=False), options.wants("C", experimental=False),
        options.wants("A", experimental=True),
    ] == [False, True, True]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skip", 'invalid check option "skip"'),
        ("skp=A", 'invalid check option "skp"'),
        (
            "error=maybe",
            'failed to parse check option "error=maybe": strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
def test_wrong_lint_options_are_told(text, message):
    with pytest.raises(lintoptions.OptionsError) as caught:
        lintoptions.parse(text)
    assert message == str(caught.value)


@given(st.text())
def test_no_text_crashes_a_small_reader(text):
    for function, expected in (
        (csv.split, csv.CsvError),
        (durations.parse, durations.DurationError),
        (jsonform.parse, jsonform.NotStringsError),
        (platforms.parse, platforms.PlatformError),
        (ports.parse, ports.PortError),
        (lintoptions.parse, lintoptions.OptionsError),
    ):
        try:
            function(text)
        except expected:
            continue
    imagename.complaint(text)
    semantics.check_mode(text)
    semantics.check_signal(text)
