"""A container's output on disk, in Docker's json-file form: one object per line with log, stream and time."""

from __future__ import annotations

import codecs
import os
import time

from orlop.runtime.linux.leanjson import quote

MAX_SIZE, MAX_FILES = 16 << 20, 3
_LONGEST_LINE = 16 << 10


class JsonLog:
    """Appends records; rotates `path` to `path.1` … when it grows over `max_size` bytes."""

    def __init__(self, path: str, *, max_size: int = MAX_SIZE, max_files: int = MAX_FILES) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._fd = -1
        self._size = 0
        self._second = -1
        self._prefix = ""
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {name: decoder("replace") for name in ("stdout", "stderr")}
        self._partial = {"stdout": "", "stderr": ""}
        self._open()

    def write(self, stream: str, data: bytes) -> None:
        """Take what the program wrote, in any pieces; a line without end waits for it up to 16 KiB."""
        text = self._partial[stream] + self._decoders[stream].decode(data)
        lines = text.split("\n")
        rest = lines.pop()
        whole = [f"{line}\n" for line in lines]
        while len(rest) > _LONGEST_LINE:
            whole.append(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._partial[stream] = rest
        self._append(stream, whole)

    def close(self) -> None:
        """Write what is left of unfinished lines and close the file."""
        for stream, decoder in self._decoders.items():
            rest = self._partial[stream] + decoder.decode(b"", True)
            self._append(stream, [rest] if rest else [])
        os.close(self._fd)

    def _append(self, stream: str, lines: list[str]) -> None:
        if not lines:
            return
        tail = f',"stream":"{stream}","time":"{self._now()}"}}\n'
        data = "".join(f'{{"log":{quote(line)}{tail}' for line in lines).encode("ascii")
        if self._size + len(data) > self._max_size and self._size:
            self._rotate()
        try:
            self._size += os.write(self._fd, data)
        except OSError:
            return  # a full disk must not stop the program; attached clients still see the output

    def _now(self) -> str:
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._second:
            self._second = seconds
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        return f"{self._prefix}.{nanoseconds:09d}Z"

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        os.close(self._fd)
        try:
            for number in range(self._max_files - 1, 0, -1):
                older = self._path if number == 1 else f"{self._path}.{number - 1}"
                if os.path.exists(older):
                    os.rename(older, f"{self._path}.{number}")
            if self._max_files == 1:
                os.unlink(self._path)
        finally:
            self._open()
