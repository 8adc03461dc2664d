"""The whole parser: nothing is lost, nothing crashes, every prefix of a file is a file."""

from __future__ import annotations

import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.dockerfile import rules, semantics
from orlop.dockerfile.parser import parse

LONG = """# syntax=docker/dockerfile:1
# check=skip=JSONArgsRecommended;error=false

# VERSION which alpine to build on
ARG VERSION=3.19 \\
    MIRROR="https://example.org/a b"
ARG EMPTY=

FROM --platform=$BUILDPLATFORM alpine:${VERSION:-latest} AS Build
ARG TARGETARCH
ENV A=1 B="two words" \\
    # a comment in between
    C='three $A' D=four\\ words

ENV legacy the rest of the line
LABEL "com.example.quoted key"="value" plain=x
SHELL ["/bin/ash", "-eo", "pipefail", "-c"]
WORKDIR /src
RUN --mount=type=cache,target=/var/cache/apk,sharing=locked \\
    --mount=type=secret,id=token,required \\
    --network=none apk add \\

    git \\
    make
RUN <<EOF cat - <<-"TAB" | sort
first
EOF
\tsecond $A
\tTAB
RUN ["/bin/true", "x\\ty"]
RUN [ "not", 'json' ]
COPY --chown=1000:1000 --chmod=u=rwX,go=rX --exclude=*.md --exclude=docs ./a ./b /src/
COPY ["with blank", "/dst/"]
COPY <<one <<"two" three /dst/
1 $A
one
2 $A
two
ADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 https://x.org/f.tgz /
ONBUILD COPY <<EOF /y
triggered
EOF
ONBUILD RUN echo \U0001f433

FROM build as second
COPY --from=Build --link --parents /src/./x /
EXPOSE 80 443/tcp 1000-1010/udp $PORTS
VOLUME ["/data"] 
VOLUME /a /b
USER user:group
STOPSIGNAL SIGKILL
HEALTHCHECK --interval=1m30s --timeout=3s --start-period=5s --start-interval=100ms --retries=4 CMD curl -f x || exit 1
HEALTHCHECK NONE
MAINTAINER Somebody <some@body>
CMD echo hi
ENTRYPOINT []
CMD ["a", "b"]
FNTRYPOINT x
RUN --mont=x --network=foo cat <<EOF
never ended
"""  # noqa: W291


def flavors() -> list[str]:
    backtick = LONG.replace("\\\n", "`\n").replace("# syntax", "# escape=`\n# syntax", 1)
    return [LONG, LONG.replace("\n", "\r\n"), backtick, "\ufeff" + LONG, "#!/usr/bin/env x\n" + LONG]


def check_lossless(text: str) -> None:
    tree = parse(text)
    assert text == "".join(node.raw for node in tree.nodes)
    line = 0
    for node in tree.nodes:
        assert line == node.first <= node.last
        line = node.last + 1
    places = [(problem.span.start.line, problem.span.start.column) for problem in tree.problems]
    assert sorted(places) == places
    for problem in tree.problems:
        assert problem.span.start <= problem.span.end
        assert problem.span.end.line <= text.count("\n")


@pytest.mark.parametrize("text", flavors())
def test_a_long_file_prints_back(text):
    check_lossless(text)


@pytest.mark.parametrize("text", flavors())
def test_every_prefix_is_a_file(text):
    for end in range(0, len(text), 3):
        check_lossless(text[:end])


@pytest.mark.parametrize("text", flavors()[:3])
def test_every_prefix_can_be_checked(text):
    for end in range(0, len(text), 29):
        tree = parse(text[:end])
        rules.check(tree)
        semantics.check(tree)


@settings(max_examples=200)
@given(st.text())
def test_any_text_parses_and_prints_back(text):
    check_lossless(text)


LINES = st.sampled_from([
    "FROM a", "FROM a AS b", "from $X as c", "RUN x", "RUN x \\", "RUN <<EOF", "EOF", "COPY <<EOF <<-B /", "\tB", "  y \\",
    "# escape=`", "# c", "", "  ", "\\", "`", "ENV a=b", "ENV a", "ENV a=b c", "ARG x", "ARG x=$y", "CMD [", 'CMD ["a"]',
    "ONBUILD RUN <<X", "X", "ONBUILD ONBUILD", "HEALTHCHECK CMD", "HEALTHCHECK --interval=x NONE", "COPY --from=c a b",
    "RUN --mount=type=bind,from=b x", "EXPOSE $p 80/x", "SHELL []", "VOLUME [1]", "COPY --link=x \\", "USER ${", "WORKDIR '",
    "\ufeff", "FOO", "RUN echo ${x^^} <<EOF", "ADD a", "STOPSIGNAL", "LABEL", 'RUN ["a",', "\x0b\x0c RUN y", "RUN\u00a0x",
])  # fmt: skip


@settings(max_examples=300)
@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_any_mixture_of_lines_parses_and_can_be_checked(lines, ending, ended):
    text = ending.join(lines) + (ending if ended else "")
    check_lossless(text)
    tree = parse(text)
    for problem in (*rules.check(tree), *semantics.check(tree)):
        assert problem.span.start <= problem.span.end


def test_half_read_bytes_survive():
    text = b"FROM a\nRUN echo \xff\xfe\n".decode("utf-8", "surrogateescape")
    check_lossless(text)
    assert parse(text).instructions[1].original.encode("utf-8", "surrogateescape") == b"RUN echo \xff\xfe"


def test_equal_texts_give_equal_trees():
    assert parse(LONG) == parse(LONG)


def test_five_thousand_lines_parse_in_150_ms():
    block = (
        "# a comment about this part\nFROM --platform=$BUILDPLATFORM alpine:3.19 AS base\nARG VERSION=1.2 OTHER\n"
        'ENV A=1 B="two words" C=$A\nRUN apk add --no-cache curl \\\n    git \\\n    make\n\n'
        "COPY --chown=1000:1000 src/a.py src/b.py /app/src/\nWORKDIR /app\nLABEL org.title=x\nEXPOSE 8080/tcp 9090\n"
        'CMD ["python", "-m", "app"]\n'
    )
    text = block * (5000 // block.count("\n"))
    times = []
    for _ in range(5):
        start = time.process_time()
        parse(text)
        times.append(time.process_time() - start)
    assert min(times) < 0.15


def test_time_grows_with_the_length_only():
    def best(text: str) -> float:
        times = []
        gc.collect()
        gc.disable()  # a collection looks at all that earlier tests have left, too
        try:
            for _ in range(3):
                start = time.process_time()
                parse(text)
                times.append(time.process_time() - start)
        finally:
            gc.enable()
        return min(times)

    for block in ("RUN a \\\n", "# c\n", "\n", "RUN <<E\nx\nE\n", "COPY a b\n", "FROM a\nENV a='b' c=d\n"):
        # Four times as long where it grows with the length, sixteen where with its square; a busy processor adds its own.
        assert best(block * 4000) < 10 * best(block * 1000) + 0.02
