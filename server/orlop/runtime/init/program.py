"""Finding and executing the program, and saying what went wrong in the words people know from Docker."""

from __future__ import annotations

import errno
import os
import stat

from orlop.runtime.linux import syscalls

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND, NOT_EXECUTABLE = 127, 126


class CannotExecute(Exception):
    """The program does not start; `code` is what a shell would end with."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def environment(items: list[str], home: str) -> dict[str, str]:
    """Variables in order, later ones win; HOME is added unless it is given (an empty one counts as missing)."""
    values: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if equals and name:
            values[name] = value
    if not values.get("HOME"):
        values["HOME"] = home
    return values


def find(name: str, path: str) -> str:
    """The file to execute: `name` itself when it has a slash, else the first executable on `path`.

    Raises `CannotExecute`.
    """
    if not name:
        raise CannotExecute('exec: "": executable file not found in $PATH', NOT_FOUND)
    if "/" in name:
        _check(name)
        return name
    denied = None
    for directory in path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        try:
            _check(candidate, shown=name)
        except CannotExecute as error:
            denied = error if error.code == NOT_EXECUTABLE else denied
            continue
        return candidate
    raise denied or CannotExecute(f'exec: "{name}": executable file not found in $PATH', NOT_FOUND)


def execute(file: str, args: list[str], env: dict[str, str]) -> None:
    """Replace this process; raises `CannotExecute` when the kernel refuses."""
    try:
        os.execve(file, args, env)  # noqa: S606 - this is the point
    except OSError as error:
        reason = _reason(error)
        code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
        raise CannotExecute(f"exec {file}: {reason}", code) from None
    except ValueError:
        raise CannotExecute(f'exec: "{file}": invalid argument', NOT_EXECUTABLE) from None


def _check(file: str, shown: str | None = None) -> None:
    name = shown or file
    try:
        # No link through /proc/PID/fd or exe: those lead to what this process is made of, not to what the image has.
        fd = syscalls.openat2(syscalls.AT_FDCWD, file, os.O_PATH, resolve=syscalls.RESOLVE_NO_MAGICLINKS)
        try:
            status = os.fstat(fd)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        reason = _reason(error) if isinstance(error, OSError) else "invalid argument"
        if isinstance(error, PermissionError):
            raise CannotExecute(f'exec: "{name}": {reason}', NOT_EXECUTABLE) from None
        raise CannotExecute(f'exec: "{name}": stat {file}: {reason}', NOT_FOUND) from None
    if stat.S_ISDIR(status.st_mode):
        raise CannotExecute(f'exec: "{name}": is a directory', NOT_EXECUTABLE)
    if not os.access(file, os.X_OK):
        raise CannotExecute(f'exec: "{name}": permission denied', NOT_EXECUTABLE)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
