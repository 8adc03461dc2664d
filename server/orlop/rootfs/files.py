"""Single files of a container for an editor: status, listing, content, changes; all confined to the container's root.

Every path is looked up as the container itself would (`paths.open_inside`): a link leads somewhere in the container or
nowhere. Content goes through a descriptor of the caller.
"""

from __future__ import annotations

import errno
import os
import stat

from orlop.archive import removal
from orlop.archive.tree import DIRECTORY
from orlop.core import errors
from orlop.runtime.linux import namespaces, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PIECE = 1 << 20
_UNFINISHED = ".orlop-"


def perform(root: int, params: dict[str, Any], content: int | None) -> dict[str, Any]:
    """Do `params["do"]` to `params["path"]`; `content` is what is read into or written from."""
    path = "/" + params["path"].strip("/")
    action = ACTIONS[params["do"]]
    try:
        return action(root, path, params, content)
    except OSError as error:
        raise _explained(error, params["do"], path) from error


def _status(root: int, path: str, _: dict[str, Any], __: int | None) -> dict[str, Any]:
    parent, name = _above(root, path)
    try:
        return {"entry": _entry(root, parent, name, path)}
    finally:
        os.close(parent)


def _list(root: int, path: str, _: dict[str, Any], __: int | None) -> dict[str, Any]:
    fd = _directory(root, path)
    try:
        names = sorted(os.listdir(fd))
        found = []
        for name in names:
            try:
                found.append(_entry(root, fd, name, f"{path.rstrip('/')}/{name}"))
            except FileNotFoundError:
                continue  # it went while we looked
        return {"entries": found}
    finally:
        os.close(fd)


def _read(root: int, path: str, params: dict[str, Any], content: int | None) -> dict[str, Any]:
    """Copy a regular file to `content`, at most `limit` bytes."""
    assert content is not None
    probe = paths.open_inside(root, path)
    try:
        status = os.fstat(probe)
        _must_be_file(status, path)
        if status.st_size > params["limit"]:
            raise errors.Invalid(
                f"{path} is too large to open: {status.st_size} bytes", hint="Download it, or use `orlop cp`."
            )
        source = os.open(f"/proc/self/fd/{probe}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(probe)
    size = 0
    try:
        while size <= params["limit"] and (data := os.read(source, _PIECE)):
            size += len(data)
            _write_all(content, data)
    finally:
        os.close(source)
    return {"size": size}


def _write(root: int, path: str, params: dict[str, Any], content: int | None) -> dict[str, Any]:
    """Put the bytes of `content` in place of a file, which keeps its owner and mode; a new one is its directory's."""
    assert content is not None
    before: os.stat_result | None = None
    mount = b""
    try:
        probe = paths.open_inside(root, path)
    except FileNotFoundError:
        if not params["create"]:
            raise
    else:
        try:
            before = os.fstat(probe)
            if not params["overwrite"]:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            _must_be_file(before, path)
            path = paths.location(root, probe)  # the file behind a link is written, the link stays
            mount = _mount(probe)
        finally:
            os.close(probe)
    parent, name = _above(root, path)
    try:
        if before is not None and mount != _mount(parent):
            # A file that is itself a mount (/etc/hosts): another one in its place would take the mount away.
            _overwrite(parent, name, content)
            return {}
        fresh = f"{_UNFINISHED}{os.urandom(6).hex()}"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        try:
            _pour(content, fd)
            if not namespaces.single_id():
                like = before or os.fstat(parent)
                os.fchown(fd, like.st_uid, like.st_gid)
            os.fchmod(fd, stat.S_IMODE(before.st_mode) if before is not None else 0o644)
            os.fsync(fd)
            os.rename(fresh, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            os.unlink(fresh, dir_fd=parent)
            raise
        finally:
            os.close(fd)
    finally:
        os.close(parent)
    return {}


def _overwrite(parent: int, name: str, content: int) -> None:
    target = os.open(name, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        _pour(content, target)
        os.fsync(target)
    finally:
        os.close(target)


def _make(root: int, path: str, _: dict[str, Any], __: int | None) -> dict[str, Any]:
    parent, name = _above(root, path)
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
        if not namespaces.single_id():
            like = os.fstat(parent)
            os.chown(name, like.st_uid, like.st_gid, dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)
    return {}


def _remove(root: int, path: str, params: dict[str, Any], _: int | None) -> dict[str, Any]:
    parent, name = _above(root, path)
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=parent)
        elif params["recursive"]:
            removal.remove(parent, os.fsencode(name))
        else:
            os.rmdir(name, dir_fd=parent)
    finally:
        os.close(parent)
    return {}


def _rename(root: int, path: str, params: dict[str, Any], _: int | None) -> dict[str, Any]:
    source, name = _above(root, path)
    try:
        target = "/" + params["target"].strip("/")
        there, new = _above(root, target)
        try:
            if not params["overwrite"] and _exists(there, new):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
            os.rename(name, new, src_dir_fd=source, dst_dir_fd=there)
        finally:
            os.close(there)
    finally:
        os.close(source)
    return {}


ACTIONS: dict[str, Callable[[int, str, dict[str, Any], int | None], dict[str, Any]]] = {
    "status": _status,
    "list": _list,
    "read": _read,
    "write": _write,
    "make": _make,
    "remove": _remove,
    "rename": _rename,
}


def _above(root: int, path: str) -> tuple[int, str]:
    """The directory that holds the last name of a path, open, and that name."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if name == "..":
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return _directory(root, parent or "/"), name or "."


def _directory(root: int, path: str) -> int:
    fd = paths.open_inside(root, path, os.O_PATH | os.O_DIRECTORY)
    try:
        return os.open(".", DIRECTORY, dir_fd=fd)
    finally:
        os.close(fd)


def _entry(root: int, parent: int, name: str, path: str) -> dict[str, Any]:
    """Name, kind of what it leads to, whether it is a link and where to, size, mode, owner, mtime (nanoseconds)."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    target = None
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(name, dir_fd=parent)
        try:
            fd = paths.open_inside(root, path)
        except OSError:
            pass  # it leads nowhere
        else:
            status = os.fstat(fd)
            os.close(fd)
    mode = status.st_mode
    kind = "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
    return {
        "name": name,
        "kind": kind,
        "target": target,
        "size": status.st_size if kind == "file" else 0,
        "mode": stat.S_IMODE(mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime": status.st_mtime_ns,
    }


def _exists(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _must_be_file(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise errors.Invalid(f"cannot open {path}: it is a device, a pipe or a socket")


def _mount(fd: int) -> bytes:
    """The mount that a descriptor is on (proc(5), fdinfo)."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        return next(line for line in file if line.startswith(b"mnt_id:"))


def _pour(source: int, target: int) -> None:
    while data := os.read(source, _PIECE):
        _write_all(target, data)


def _write_all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def _explained(error: OSError, action: str, path: str) -> errors.OrlopError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return errors.NotFound(f"no such file or directory in the container: {path}")
    if error.errno == errno.EEXIST:
        return errors.Conflict(f"cannot {action} {path}: it exists already")
    if error.errno == errno.ENOTEMPTY:
        return errors.Conflict(f"cannot {action} {path}: the directory is not empty")
    if error.errno == errno.EISDIR:
        return errors.Invalid(f"cannot {action} {path}: it is a directory")
    return errors.from_os(error, f"{action} {path}")
