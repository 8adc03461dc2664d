"""The container's file system: its layers, /proc, /sys, /dev, small files and mounts, assembled below one descriptor.

Nothing in the image is trusted: system directories must be real directories, all other targets are looked up inside
the root by the kernel (openat2), and mounts are moved onto descriptors, never onto path names.
"""

from __future__ import annotations

import errno
import os
import stat

from orlop.core import errors
from orlop.runtime.init import skeleton
from orlop.runtime.init.sources import DEVICES, Sources
from orlop.runtime.init.stubs import Stubs
from orlop.runtime.linux import mounts, namespaces, paths, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orlop.runtime.spec import MountJson, RootfsJson, SpecJson

_NOTHING_SPECIAL = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}
TTY_GROUP = 5
# Files of /proc that may be covered, as lxcfs does (runc, libcontainer/rootfs_linux.go, checkProcMount).
_COVERABLE = frozenset(
    f"/proc/{name}" for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime")
)
# Sysctls of the IPC namespace (ipc_namespaces(7)).
_OWN_VALUES = ("kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced")
_OWN_FAMILIES = ("kernel.msg", "fs.mqueue.")


class Filesystem:
    """Assembles the tree step by step; `root_fd` is its root, `stubs` remembers mount points that had to be made.

    Without `nodes` no device node of the image or of a volume opens a device: nothing else would limit which.
    """

    def __init__(self, spec: SpecJson, sources: Sources, *, nodes: bool) -> None:
        self._spec = spec
        self._nodev = 0 if nodes else syscalls.MOUNT_ATTR_NODEV
        self._sources = sources
        upper = spec["rootfs"]["upper"]
        # Opened before the root is mounted over it, so that it goes on to mean what lies beneath.
        upper_fd = None if upper is None else os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.root_fd = _mount_root(spec["rootfs"])
        self.stubs = Stubs(self.root_fd, upper_fd)
        self._texts: dict[str, int] = {}

    def assemble(self) -> None:
        """Everything up to the change of root, in the order in which later mounts may lie on earlier ones."""
        files = self._inline_files()
        self._proc()
        self._sysctls()
        self._sys()
        self._dev()
        self._mask()
        for target, fd in files:
            self._attach(fd, target, directory=False)
        for mount, fd in self._sources.mounts:
            self._volume(mount, fd)

    def held(self) -> list[int]:
        """Descriptors that `rewrite` needs: of files in the container's own memory."""
        return list(self._texts.values())

    def rewrite(self, texts: dict[str, str]) -> None:
        """Give inline files another content, known only now that the network is up; others are left."""
        for target, text in texts.items():
            if target in self._texts:
                os.ftruncate(self._texts[target], 0)
                os.pwrite(self._texts[target], text.encode(), 0)
        for fd in self._texts.values():
            os.close(fd)
        self._texts = {}

    def enter(self) -> None:
        """Make the tree the root of this process; read-only if so asked."""
        if self._spec["rootfs"]["readonly"] or self._spec["rootfs"]["upper"] is None:
            syscalls.mount_setattr(self.root_fd, set_=syscalls.MOUNT_ATTR_RDONLY)
        if self._nodev:
            syscalls.mount_setattr(self.root_fd, set_=self._nodev)
        mounts.enter_root(self.root_fd)
        os.close(self.root_fd)
        self.root_fd = -1

    def _proc(self) -> None:
        try:
            fd = syscalls.new_mount("proc", (), _NOTHING_SPECIAL)
        except PermissionError:
            # Inside an unprivileged container parts of /proc are covered, and the kernel refuses a fresh one.
            fd = mounts.clone("/proc")
            mounts.restrict(fd, ("nosuid", "nodev", "noexec"))
        self._system("proc", fd)

    def _sysctls(self) -> None:
        """Set the kernel's values for the container's own namespaces, never one that is the whole host's."""
        for name, value in self._spec["sysctls"].items():
            own = name in _OWN_VALUES or name.startswith(_OWN_FAMILIES)
            if "/" in name or not (own or (name.startswith("net.") and self._spec["network"] != "host")):
                raise errors.Invalid(
                    f"sysctl {name} is not in a separate kernel namespace",
                    hint="Use kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*, or net.* with a network of its own.",
                )
            try:
                fd = self._open_value(name)
                try:
                    os.write(fd, value.encode())
                finally:
                    os.close(fd)
            except OSError as error:
                raise errors.Invalid(f"cannot set sysctl {name}: {(error.strerror or '').lower()}") from error

    def _open_value(self, name: str) -> int:
        path, resolve = f"proc/sys/{name.replace('.', '/')}", syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
        fd = syscalls.openat2(self.root_fd, path, os.O_WRONLY, resolve=resolve)
        if syscalls.filesystem_magic(fd) == syscalls.PROC_SUPER_MAGIC:
            return fd
        os.close(fd)
        raise errors.Unavailable(f"cannot set sysctl {name}: /proc is not the kernel's")

    def _sys(self) -> None:
        attributes = _NOTHING_SPECIAL | syscalls.MOUNT_ATTR_RDONLY
        try:
            fd = syscalls.new_mount("sysfs", (), attributes)
        except PermissionError:
            # sysfs shows the network namespace; it is made fresh only by the owner of one.
            fd = mounts.clone("/sys")
            mounts.restrict(fd, ("ro", "nosuid", "nodev", "noexec"))
        self._system("sys", fd)
        if self._sources.unified_cgroups:
            try:
                self._system("sys/fs/cgroup", syscalls.new_mount("cgroup2", (), attributes))
            except PermissionError:
                return  # not allowed here: the directory stays as sysfs has it

    def _dev(self) -> None:
        self._system("dev", mounts.tmpfs(("size=65536k", "mode=755", "dev"), syscalls.MOUNT_ATTR_NOSUID))
        dev = paths.open_directory(self.root_fd, "dev")
        try:
            self._nodes(dev)
            for name, link in _LINKS.items():
                os.symlink(link, name, dir_fd=dev)
            for name, mode in (("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o755)):
                os.mkdir(name, mode, dir_fd=dev)
        finally:
            os.close(dev)
        options: list[tuple[str, str | None]] = [("ptmxmode", "0666"), ("mode", "0620")]
        if not namespaces.single_id():
            options.append(("gid", str(TTY_GROUP)))
        no_exec = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC
        self._system("dev/pts", syscalls.new_mount("devpts", tuple(options), no_exec))
        size = f"size={self._spec['shm_size']}"
        self._system("dev/shm", mounts.tmpfs((size, "mode=1777"), _NOTHING_SPECIAL))
        try:
            self._system("dev/mqueue", syscalls.new_mount("mqueue", (), _NOTHING_SPECIAL))
        except OSError:
            return  # a kernel without POSIX message queues

    def _nodes(self, dev: int) -> None:
        if not self._sources.devices:
            try:
                for name, (major, minor) in DEVICES.items():
                    os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=dev)
                    os.chmod(name, 0o666, dir_fd=dev)  # noqa: S103 - as on every system
            except PermissionError:
                self._sources.bind_devices()
        for name, fd in self._sources.devices.items():
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=dev))
            target = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev)
            syscalls.move_mount(fd, target)
            os.close(target)
            os.close(fd)

    def _mask(self) -> None:
        """Hide and protect; only paths that exist, only below what was just mounted, never through a link."""
        for path in self._spec["readonly_paths"]:
            target = self._existing(path)
            if target is not None:
                fd = syscalls.open_tree("", dir_fd=target)
                syscalls.mount_setattr(fd, set_=syscalls.MOUNT_ATTR_RDONLY, recursive=True)
                _move_and_close(fd, target)
        null = self._checked_null()
        for path in self._spec["masked_paths"]:
            target = self._existing(path)
            if target is None:
                continue
            if stat.S_ISDIR(os.fstat(target).st_mode):
                fd = mounts.tmpfs(("size=4k", "nr_inodes=2", "mode=755", "ro"), _NOTHING_SPECIAL)
            else:
                fd = syscalls.open_tree("", dir_fd=null, recursive=False)
            _move_and_close(fd, target)
        os.close(null)

    def _checked_null(self) -> int:
        """Our own /dev/null in the tree, once more made sure to be that (CVE-2025-31133)."""
        dev = paths.open_directory(self.root_fd, "dev")
        null = os.open("null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev)
        os.close(dev)
        status = os.fstat(null)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(*DEVICES["null"]):
            raise errors.Unavailable("cannot mask system files: /dev/null is not the null device")
        return null

    def _existing(self, path: str) -> int | None:
        resolve = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
        try:
            return syscalls.openat2(self.root_fd, path.lstrip("/"), os.O_PATH, resolve=resolve)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES):
                return None
            raise

    def _inline_files(self) -> list[tuple[str, int]]:
        """Write the small files into a tmpfs that for a moment lies where /dev will be; returns binds of them."""
        if not self._spec["files"]:
            return []
        self._system("dev", mounts.tmpfs(("size=1m", "mode=755")))
        holder = paths.open_directory(self.root_fd, "dev")
        binds = []
        for number, file in enumerate(self._spec["files"]):
            name = str(number)
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            fd = os.open(name, flags, file["mode"], dir_fd=holder)
            os.fchmod(fd, file["mode"])
            os.write(fd, file["text"].encode("utf-8", "surrogateescape"))
            self._texts[file["target"]] = fd
            bind = syscalls.open_tree(name, dir_fd=holder, recursive=False)
            syscalls.mount_setattr(bind, set_=syscalls.MOUNT_ATTR_RDONLY)
            binds.append((file["target"], bind))
        syscalls.umount(f"/proc/self/fd/{holder}", syscalls.MNT_DETACH)
        os.close(holder)
        return binds

    def _volume(self, mount: MountJson, fd: int) -> None:
        if self._nodev and not f"{mount['source']}/".startswith("/dev/"):  # a device somebody passes in is meant
            syscalls.mount_setattr(fd, set_=self._nodev, recursive=True)
        directory = mount["kind"] == "tmpfs" or stat.S_ISDIR(os.stat(f"/proc/self/fd/{fd}").st_mode)
        self._attach(fd, mount["target"], directory=directory)

    def _attach(self, fd: int, path: str, *, directory: bool) -> None:
        if not path.startswith("/"):
            raise errors.Invalid(f"cannot mount at {path}: the target is not absolute", hint="Start it with a slash.")
        try:
            target = self.stubs.target(path, directory=directory)
        except OSError as error:
            raise errors.Invalid(f"cannot mount at {path}: {(error.strerror or '').lower()}") from error
        self._spare_proc(fd, target, path)
        if stat.S_ISDIR(os.fstat(target).st_mode) != directory:
            kinds = ("a directory", "a file") if directory else ("a file", "a directory")
            raise errors.Invalid(
                f"cannot mount at {path}: the source is {kinds[0]}, the target in the image is {kinds[1]}"
            )
        _move_and_close(fd, target)

    def _spare_proc(self, source: int, target: int, path: str) -> None:
        """Refuse to cover the kernel's /proc: what is read there about this process decides what it may do.

        As runc does: but for some files that are only numbers, and by another /proc.
        """
        if syscalls.filesystem_magic(target) != syscalls.PROC_SUPER_MAGIC:
            return
        place = paths.location(self.root_fd, target)
        if place in _COVERABLE or (place == "/proc" and syscalls.filesystem_magic(source) == syscalls.PROC_SUPER_MAGIC):
            return
        raise errors.Invalid(f"cannot mount at {path}: it is inside /proc", hint="Choose another target.")

    def _system(self, path: str, fd: int) -> None:
        """Mount on a directory that must be a real one, made if it is missing."""
        try:
            target = paths.open_directory(self.root_fd, path)
        except FileNotFoundError:
            os.close(self.stubs.target(f"/{path}", directory=True))
            target = paths.open_directory(self.root_fd, path)
        except OSError as error:
            raise errors.Invalid(
                f"cannot mount /{path}: the image has something else than a directory there"
            ) from error
        _move_and_close(fd, target)


def _mount_root(rootfs: RootfsJson) -> int:
    """Mount the root over its own upper directory (in this namespace only) and return a descriptor of it."""
    lowers, upper, work = list(rootfs["lowers"]), rootfs["upper"], rootfs["work"]
    if not lowers and work is None:
        if upper is None:
            raise errors.Invalid("cannot start a container without a root file system")
        fd = mounts.clone(upper)
        mounts.restrict(fd, ())
        target = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _move_and_close(fd, target)
        return os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    bottom = rootfs.get("skeleton")
    if bottom is not None:
        lowers.append(skeleton.make(bottom))
    if not lowers:
        raise errors.Invalid("cannot start a container on an empty image without a skeleton")
    place = upper if upper is not None else lowers[0]
    mounts.mount_overlay(place, tuple(lowers), upper, work, volatile=rootfs["volatile"])
    return os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _move_and_close(fd: int, target: int) -> None:
    try:
        syscalls.move_mount(fd, target)
    finally:
        os.close(target)
        os.close(fd)
