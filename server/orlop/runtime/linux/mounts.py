"""Mounts of a container: the overlay of its layers, detached binds of host paths, and small file systems."""

from __future__ import annotations

import errno
import os

from orlop.core import errors
from orlop.runtime.linux import namespaces, paths, syscalls

_ATTRIBUTES = {
    "ro": syscalls.MOUNT_ATTR_RDONLY,
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "nodev": syscalls.MOUNT_ATTR_NODEV,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
}
# The kernel takes 500 lower directories (fs/overlayfs/super.c, OVL_MAX_STACK).
MAX_LOWERS = 500


def make_private() -> None:
    """Keep every further mount of this namespace to itself."""
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def mount_overlay(
    target: str, lowers: tuple[str, ...], upper: str | None, work: str | None, *, volatile: bool = False
) -> None:
    """Mount the overlay of `lowers` (top first; absolute) on `target`, read-only when there is no `upper`.

    The kernel takes one page of options, so the directories go by short links in a detached tmpfs; the caller's
    working directory is the root afterwards. In a user namespace the attributes are `user.overlay.*`, otherwise
    `trusted.overlay.*`. Raises `Unavailable` where the file system cannot carry an overlay.
    """
    names = tuple(dict.fromkeys(lowers))
    if len(names) > MAX_LOWERS:
        raise errors.Unavailable(
            f"cannot mount {len(names)} layers: the kernel allows {MAX_LOWERS}",
            hint="Build from an image with fewer layers.",
        )
    if volatile and work is not None:
        _forget_volatile(work)
    links = syscalls.new_mount("tmpfs", (("size", "1m"), ("mode", "0700")))
    try:
        os.fchdir(links)
        for number, lower in enumerate(names):
            os.symlink(lower, f"{number:x}")
        options = ["lowerdir=" + ":".join(f"{number:x}" for number in range(len(names)))]
        if upper is not None and work is not None:
            os.symlink(upper, "u")
            os.symlink(work, "w")
            options += ["upperdir=u", "workdir=w"]
            if volatile:
                options.append("volatile")
        if namespaces.in_user_namespace():
            options.append("userxattr")
        else:
            options += ["redirect_dir=off", "metacopy=off", "index=off"]
        _mount_overlay(target, options, upper or names[0])
    finally:
        os.chdir("/")
        os.close(links)


def _mount_overlay(target: str, options: list[str], where: str) -> None:
    try:
        syscalls.mount("overlay", target, "overlay", 0, ",".join(options))
    except OSError as error:
        if error.errno == errno.EINVAL and "volatile" in options:
            options.remove("volatile")
            _mount_overlay(target, options, where)
            return
        hint = "Keep the store on ext4, xfs, btrfs or tmpfs (choose another place with ORLOP_ROOT)."
        if error.errno == errno.ENODEV:
            hint = "Load the kernel's overlay module: `sudo modprobe overlay`."
        elif error.errno == errno.EPERM:
            hint = "Use a kernel that lets user namespaces mount overlays (Linux 5.11 or later)."
        raise errors.Unavailable(
            f"cannot mount the layers at {where}: {(error.strerror or '').lower()}", hint=hint
        ) from error


def _forget_volatile(work: str) -> None:
    """Let a volatile overlay be mounted again: the kernel refuses while its marker is there."""
    marker = f"{work}/work/incompat"
    try:
        os.unlink(f"{marker}/volatile/dirty")
        os.rmdir(f"{marker}/volatile")
        os.rmdir(marker)
    except FileNotFoundError:
        return


def clone(source: str, *, recursive: bool = True) -> int:
    """A detached bind mount of a host path; raises `Invalid` naming it when it is not there."""
    try:
        return syscalls.open_tree(source, recursive=recursive)
    except FileNotFoundError:
        raise errors.Invalid(
            f"cannot mount {source}: no such file or directory", hint="Create it first, or check the spelling."
        ) from None
    except OSError as error:
        raise errors.from_os(error, f"mount {source}") from error


def restrict(mount_fd: int, options: tuple[str, ...]) -> None:
    """Make a detached mount private and apply `ro`, `nosuid`, `nodev`, `noexec` to it and everything below."""
    syscalls.mount_setattr(mount_fd, propagation=syscalls.MS_PRIVATE, recursive=True)
    attributes = 0
    for option in options:
        attributes |= _ATTRIBUTES.get(option, 0)
    if attributes:
        syscalls.mount_setattr(mount_fd, set_=attributes, recursive=True)


def tmpfs(options: tuple[str, ...], attributes: int = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV) -> int:
    """A detached tmpfs; `size=…`, `mode=…`, `uid=…`, `gid=…`, `nr_inodes=…` are its own, the flags are the mount's.

    Raises `Invalid` for an option it does not have.
    """
    own: list[tuple[str, str | None]] = []
    for option in options:
        key, equals, value = option.partition("=")
        if equals and key in ("size", "mode", "uid", "gid", "nr_inodes"):
            own.append((key, value))
        elif option in _ATTRIBUTES:
            attributes |= _ATTRIBUTES[option]
        elif option not in ("rw", "suid", "dev", "exec"):
            raise errors.Invalid(f"unknown tmpfs option {option}", hint="Use size, mode, uid, gid, ro, nosuid, noexec.")
    for option, bit in (("suid", 2), ("dev", 4), ("exec", 8)):
        if option in options:
            attributes &= ~bit
    return syscalls.new_mount("tmpfs", tuple(own), attributes)


def attach(mount_fd: int, root_fd: int, target: str) -> None:
    """Put a detached mount on an existing `target` inside the root."""
    target_fd = paths.open_inside(root_fd, target)
    try:
        syscalls.move_mount(mount_fd, target_fd)
    finally:
        os.close(target_fd)


def enter_root(root_fd: int) -> None:
    """Make the mount `root_fd` is open on the root of this mount namespace, and let go of the old one."""
    os.fchdir(root_fd)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")
