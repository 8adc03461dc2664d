"""ADD's eye for archives: a local file is unpacked if its content is a tar, plain or compressed, whatever its name."""

from __future__ import annotations

import stat
import zlib
from lzma import LZMAError
from typing import IO

from orlop.archive import compression
from orlop.builder.context import Match, unreadable
from orlop.core import errors

_BLOCK = 512
_CHECKSUM = slice(148, 156)


def is_archive(context_root: str, match: Match) -> bool:
    """Whether the file starts with the header of a tar member once decompressed; a damaged file is none."""
    if not stat.S_ISREG(match.status.st_mode) or not match.status.st_size:
        return False
    try:
        with open(f"{context_root}/{match.path}", "rb") as raw, compression.decompressed(raw) as plain:
            return _is_header(_first_block(plain))
    except OSError as error:
        if error.errno is not None:
            raise unreadable(match.path, error) from error
        return False
    except (errors.Invalid, EOFError, zlib.error, LZMAError, ValueError):
        return False


def _first_block(file: IO[bytes]) -> bytes:
    block = b""
    while len(block) < _BLOCK and (piece := file.read(_BLOCK - len(block))):
        block += piece
    return block


def _is_header(block: bytes) -> bool:
    """Whether the checksum of a tar header fits (POSIX ustar; old writers summed signed bytes)."""
    text = block[_CHECKSUM].strip(b" \0")
    if len(block) < _BLOCK or not text or any(digit not in b"01234567" for digit in text):
        return False
    summed = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    signed = sum(byte - 256 if byte > 127 else byte for byte in summed)
    return int(text, 8) in (sum(summed), signed)
