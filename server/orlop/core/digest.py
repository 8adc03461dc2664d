"""Digests name content: parse them, compute them, verify bytes against them while they stream.

OCI image-spec, descriptor.md#digests. Only sha256 and sha512 are registered; sha256 is what we write.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import IO, Protocol

import attrs

from orlop.core import errors

CHUNK = 1 << 20
_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+\Z")


@attrs.frozen(order=True, slots=True)
class Digest:
    """An algorithm and the lower-case hex of its sum; prints as `sha256:…`."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """The first twelve hex digits, as people see them."""
        return self.hex[:12]


class Hasher(Protocol):
    """What `hashlib` objects can do."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """The sum so far in hex."""


def parse(text: str) -> Digest:
    """Read `algorithm:hex`; raises `Invalid` on any other text."""
    algorithm, colon, value = text.partition(":")
    if not colon or _LENGTHS.get(algorithm) != len(value) or not _HEX.match(value):
        raise errors.Invalid(f"invalid digest {text!r}", hint="Write a digest as sha256: and 64 hex digits.")
    return Digest(algorithm, value)


def of_bytes(data: bytes) -> Digest:
    """The sha256 digest of `data`."""
    return Digest("sha256", hashlib.sha256(data).hexdigest())


def of_file(file: IO[bytes]) -> tuple[Digest, int]:
    """The sha256 digest and the count of the bytes from the current position to the end."""
    hasher = hashlib.sha256()
    size = 0
    while chunk := file.read(CHUNK):
        hasher.update(chunk)
        size += len(chunk)
    return Digest("sha256", hasher.hexdigest()), size


def hasher_for(digest: Digest) -> Hasher:
    """A fresh hash object of the digest's algorithm."""
    return hashlib.new(digest.algorithm)


def verified(file: IO[bytes], digest: Digest, size: int, what: str) -> Iterator[bytes]:
    """Yield the chunks of `file` and raise `Corrupt` at the end, or as soon as it is too long, if they differ.

    The last chunk is yielded before the sum is known: a consumer commits its work only after exhaustion.
    """
    hasher = hasher_for(digest)
    seen = 0
    while chunk := file.read(CHUNK):
        seen += len(chunk)
        if seen > size:
            raise errors.Corrupt(f"{what} is longer than its {size} bytes")
        hasher.update(chunk)
        yield chunk
    check(digest, Digest(digest.algorithm, hasher.hexdigest()), size, seen, what)


def check(expected: Digest, actual: Digest, expected_size: int, actual_size: int, what: str) -> None:
    """Raise `Corrupt`, naming both, when size or digest differ."""
    if expected_size != actual_size:
        raise errors.Corrupt(f"{what} has {actual_size} bytes instead of {expected_size}")
    if expected != actual:
        raise errors.Corrupt(f"{what} has digest {actual} instead of {expected}")
