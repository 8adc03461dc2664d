from __future__ import annotations

import pytest

from orlop.builder import ports
from orlop.core import errors


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("80",), ("80/tcp",)),
        (("80/TCP", "80"), ("80/tcp",)),
        (("53/udp", "53"), ("53/tcp", "53/udp")),
        (("1-3",), ("1/tcp", "2/tcp", "3/tcp")),
        (("8080:80",), ("80/tcp",)),
        (("127.0.0.1:8080:80/udp",), ("80/udp",)),
        (("[::1]:8080:80",), ("80/tcp",)),
        (("9000", "80"), ("80/tcp", "9000/tcp")),
    ],
)
def test_ports_are_read_as_docker_reads_them(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert ports.parse(words) == expected


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("http", "invalid containerPort: http"),
        ("70000", "invalid containerPort: 70000"),
        ("3-1", "invalid containerPort: 3-1"),
        ("80/sctpx", "invalid proto: sctpx"),
        ("", "no port specified: <empty>"),
    ],
)
def test_bad_ports_are_refused(word: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        ports.parse((word,))
    assert caught.value.message == message
