"""How a layer is marked for overlayfs, and which extended attributes belong to its content.

Kernel, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"; OCI image-spec, layer.md#whiteouts.
"""

from __future__ import annotations

import os

from orlop.core import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

WHITEOUT_PREFIX = b".wh."
OPAQUE_NAME = b".wh..wh..opq"
RESERVED_PREFIX = b".wh..wh."

TRUSTED_OPAQUE = "trusted.overlay.opaque"
USER_OPAQUE = "user.overlay.opaque"

_CHARACTER = 0o020000
_FORMAT = 0o170000


def is_whiteout(status: os.stat_result) -> bool:
    """Whether a file of a layer stands for "deleted here": the character device 0:0."""
    return status.st_mode & _FORMAT == _CHARACTER and status.st_rdev == 0


def is_opaque(target: int | str) -> bool:
    """Whether a directory of a layer, open or by path, hides what lies below it."""
    for name in (TRUSTED_OPAQUE, USER_OPAQUE):
        try:
            if os.getxattr(target, name) == b"y":
                return True
        except OSError:
            continue
    return False


def mark_opaque(fd: int, userxattr: bool) -> None:
    """Make an open directory hide what lies below it; raises `Unavailable` where the file system cannot."""
    try:
        os.setxattr(fd, USER_OPAQUE if userxattr else TRUSTED_OPAQUE, b"y")
    except OSError as error:
        raise errors.Unavailable(
            f"cannot mark a directory as opaque: {(error.strerror or '').lower()}",
            hint="Keep the store on a file system with extended attributes, such as ext4, xfs, btrfs or tmpfs.",
        ) from error


def is_content(xattr: bytes) -> bool:
    """Whether an extended attribute travels with a file.

    Overlay's own would let a tar forge opaque or redirected directories; labels of SELinux and its like and access
    lists belong to the host. Both directions use this one rule, so that a tree and its tar agree.
    """
    if xattr.startswith(b"user."):
        return not xattr.startswith(b"user.overlay.")
    if xattr.startswith(b"trusted."):
        return not xattr.startswith(b"trusted.overlay.")
    return xattr == b"security.capability"


def contents(names: Iterable[str]) -> list[bytes]:
    """The names among `names` that travel with a file, sorted."""
    return sorted(name for name in map(os.fsencode, names) if is_content(name))
