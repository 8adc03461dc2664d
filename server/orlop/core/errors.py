"""The one tree of errors that people may see; each says what failed, on what, and what to do next.

OrlopError
├── Invalid                 the request itself is wrong
│   ├── InvalidReference    not an image name
│   ├── InvalidDockerfile   the Dockerfile does not parse or does not resolve (carries problems)
│   └── InvalidArchive      a tar, layer or image archive is corrupt or hostile
├── NotFound                the named thing is not here
│   ├── ImageNotFound
│   └── ContainerNotFound
├── Conflict                the thing exists, is in use or has another state
├── Corrupt                 stored or received bytes do not match their digest
├── BuildFailed             a step of a build failed
│   └── RunFailed           a RUN's process failed (carries the exit code or the signal)
├── Unavailable             this host does not allow it (carries the exact fix as hint)
│   └── DiskFull
├── RegistryError           a registry refused or broke (registry layer)
│   ├── Unauthorized
│   ├── Denied
│   ├── RateLimited
│   ├── ManifestUnknown
│   └── Unreachable
└── Cancelled               the caller asked to stop; never shown as a failure
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False  # importing `typing` or `collections` would cost every lean interpreter milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping


class OrlopError(Exception):
    """Base of every error with a message for people.

    `kind` is the stable kebab-case name that travels over the wire, `hint` one imperative sentence, `detail` longer
    text such as the last lines of a log, `exit_code` what a terminal verb ends with.
    """

    kind = "error"
    retryable = False
    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        detail: str | None = None,
        location: Location | None = None,
        actions: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        self.location = location
        self.actions = actions

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


class Location:
    """A place in a text file: path, 0-based lines and columns (code points), end exclusive."""

    __slots__ = ("column", "end_column", "end_line", "line", "path")

    def __init__(self, path: str, line: int, column: int = 0, end_line: int | None = None, end_column: int = 0) -> None:
        self.path = path
        self.line = line
        self.column = column
        self.end_line = line + 1 if end_line is None else end_line
        self.end_column = end_column

    def __str__(self) -> str:
        return f"{self.path}:{self.line + 1}"


class Invalid(OrlopError):
    """The request itself is wrong."""

    kind = "invalid"


class InvalidReference(Invalid):
    """The text is not an image name."""

    kind = "invalid-reference"


class InvalidDockerfile(Invalid):
    """The Dockerfile has errors; `location` points at the first one."""

    kind = "dockerfile-invalid"


class InvalidArchive(Invalid):
    """A tar, layer or image archive is corrupt, incomplete or tries to escape its root."""

    kind = "archive-invalid"


class NotFound(OrlopError):
    """The named thing is not here."""

    kind = "not-found"


class ImageNotFound(NotFound):
    """No image with this name or ID in the store."""

    kind = "image-not-found"


class ContainerNotFound(NotFound):
    """No container with this name or ID."""

    kind = "container-not-found"


class Conflict(OrlopError):
    """The thing exists already, is in use, or is in a state that forbids the verb."""

    kind = "conflict"


class Corrupt(OrlopError):
    """Bytes do not match the digest or size they are known by."""

    kind = "corrupt"


class BuildFailed(OrlopError):
    """A step of a build failed; `location` is its instruction."""

    kind = "build-failed"


class RunFailed(BuildFailed):
    """The process of a RUN instruction failed; `exit_code` is its own (128 + signal if killed)."""

    kind = "run-failed"

    def __init__(self, message: str, *, code: int, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.exit_code = code


class Unavailable(OrlopError):
    """The host does not allow it; the hint is the exact fix."""

    kind = "unavailable"


class DiskFull(Unavailable):
    """No space (or no inode, or quota) is left where the store lives."""

    kind = "disk-full"


class RegistryError(OrlopError):
    """A registry refused the request or broke.

    `status` is that of its answer (0: none came), `codes` its own words, `after` the seconds it asks us to wait.
    """

    kind = "registry-error"
    status = 0
    codes: tuple[str, ...] = ()
    after = 0.0


class Unauthorized(RegistryError):
    """The registry wants a login, or refused the one it got."""

    kind = "registry-unauthorized"


class Denied(RegistryError):
    """The account may not do this on that repository."""

    kind = "registry-denied"


class RateLimited(RegistryError):
    """The registry asks to slow down; the hint says until when."""

    kind = "registry-rate-limited"
    retryable = True


class ManifestUnknown(RegistryError):
    """The repository or tag is not in that registry."""

    kind = "manifest-unknown"


class Unreachable(RegistryError):
    """No connection, no TLS trust, or a proxy in between."""

    kind = "registry-unreachable"
    retryable = True


class Cancelled(OrlopError):
    """The caller asked to stop."""

    kind = "cancelled"
    exit_code = 130

    def __init__(self, message: str = "cancelled") -> None:
        super().__init__(message)


def from_os(error: OSError, what: str) -> OrlopError:
    """The most specific error for an `OSError` met while doing `what` ("write layer sha256:…")."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"cannot {what}: no space left on the disk",
            hint="Free space, for example with `orlop system prune`, or move the store with ORLOP_ROOT.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        path = f" ({error.filename})" if error.filename else ""
        return Unavailable(
            f"cannot {what}: {reason.lower()}{path}",
            hint="Check the owner and the mode of that path, or choose another store with ORLOP_ROOT.",
        )
    return OrlopError(f"cannot {what}: {reason.lower()}")


def _rebuild(kind: type[OrlopError], message: str, state: Mapping[str, object]) -> OrlopError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error
