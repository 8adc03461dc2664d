"""Errors that show without building, all of them at once."""

from __future__ import annotations

import pytest

from orlop.dockerfile import semantics
from orlop.dockerfile.evaluation import BaseImage
from orlop.dockerfile.parser import parse


def found(text: str, **given: object) -> list[tuple[int, str]]:
    return [(item.span.start.line, item.message) for item in semantics.check(parse(text), **given)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ENV a=${b", "failed to process \"${b\": syntax error: missing '}'"),
        ("ENV a='b", 'failed to process "\'b": unexpected end of statement while looking for matching single-quote'),
        ("ARG a=${}", 'failed to process "${}": syntax error: bad substitution'),
        ("COPY ${a:?gone} /x", 'failed to process "${a:?gone}": a: gone'),
        ("STOPSIGNAL FOO", "invalid signal: FOO"),
        ("EXPOSE http", "invalid containerPort: http"),
        ("EXPOSE 80/icmp", 'invalid port: "80/icmp": invalid proto: icmp'),
        ("COPY --chmod=64a a b", "invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777"),
        ("COPY https://x/y /z", "source can't be a URL for COPY"),
        ("COPY git@x:y.git /z", "source can't be a git ref for COPY"),
        ("ADD --checksum=sha256:0 a /z", "checksum requires HTTP(S) or Git sources"),
        ("ADD --checksum=sha256:0 https://a https://b /z", "checksum can't be specified for multiple sources"),
        ("RUN --mount=typ=x y", "unexpected key 'typ' in 'typ=x' (did you mean type?)"),
        ("RUN --mount=target=${x y", "failed to process \"${x\": syntax error: missing '}'"),
        ("COPY <<EOF /x\n${}\nEOF", "failed to process the body of <<EOF: syntax error: bad substitution"),
    ],
)
def test_values_that_can_never_work_are_told(line, message):
    assert [(1, message)] == found(f"FROM scratch\n{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "STOPSIGNAL $SIG",
        "EXPOSE $PORT",
        "COPY --chmod=$MODE a b",
        "ENV $NAME=x",
        "ARG SIG\nSTOPSIGNAL $SIG",
        "ADD --checksum=sha256:0 $URL /z",
    ],
)
def test_what_the_base_image_may_still_set_is_not_judged(line):
    assert found(f"FROM alpine\n{line}\n") == []


def test_what_the_base_image_sets_is_judged():
    images = {"a": BaseImage({"SIG": "FOO"})}
    assert found("FROM a\nSTOPSIGNAL $SIG\n", find_image=images.get) == [(1, "invalid signal: FOO")]


def test_a_platform_that_cannot_be_read_is_told():
    text = "FROM --platform=nonsense a\n"
    assert found(text) == [
        (0, 'failed to parse platform nonsense: "nonsense": unknown operating system or architecture: invalid argument')
    ]


def test_everything_is_told_in_order():
    text = "ARG A=${}\nFROM a AS x\nCOPY --from=9 b c\nSTOPSIGNAL FOO\nFROM Bad\nENV a=${\n"
    assert [line for line, _ in found(text)] == [0, 2, 3, 5]


def test_a_good_file_is_good():
    text = (
        "ARG V=3\nFROM alpine:$V AS a\nENV x=1\nEXPOSE 80 1-3/udp\nSTOPSIGNAL SIGTERM\nCOPY --chmod=u+x b /c\n"
        "FROM a\nCOPY --from=a /x /y\nRUN --mount=type=cache,target=/c,id=$x true\nADD https://x.org/y.git#main /z\n"
    )
    assert found(text) == []
