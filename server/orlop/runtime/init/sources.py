"""Everything a container gets from the host, opened as detached mounts before the host's tree goes out of sight."""

from __future__ import annotations

import os
import stat

from orlop.core import errors
from orlop.runtime.linux import cgroups, mounts, namespaces, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orlop.runtime.spec import MountJson, SpecJson

# Name and number of the devices in every container (OCI runtime-spec, config-linux.md, default devices).
DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}


class Sources:
    """Detached mounts by what they are for; opened in the container's mount namespace, still with the host's root."""

    def __init__(self, spec: SpecJson) -> None:
        self.devices: dict[str, int] = {}
        self.unified_cgroups = cgroups.unified()
        if namespaces.in_user_namespace():
            self.bind_devices()
        self.mounts = [(mount, _open(mount)) for mount in spec["mounts"]]

    def bind_devices(self) -> None:
        """Open the host's devices, for when making device nodes is not allowed."""
        for name in DEVICES:
            if name not in self.devices:
                self.devices[name] = _device(name)


def _device(name: str) -> int:
    """A detached bind of a device of the host, checked to be that device and not something put in its place."""
    fd = mounts.clone(f"/dev/{name}", recursive=False)
    status = os.stat(f"/proc/self/fd/{fd}")
    if not stat.S_ISCHR(status.st_mode) or (os.major(status.st_rdev), os.minor(status.st_rdev)) != DEVICES[name]:
        raise errors.Unavailable(
            f"cannot use /dev/{name}: it is not the device of that name", hint=f"Restore /dev/{name} of this host."
        )
    syscalls.mount_setattr(fd, propagation=syscalls.MS_PRIVATE)
    return fd


def _open(mount: MountJson) -> int:
    options = tuple(mount["options"])
    if mount["kind"] == "tmpfs":
        return mounts.tmpfs(options)
    if mount["kind"] != "bind":
        raise errors.Invalid(f"unknown mount kind {mount['kind']}", hint="Use bind or tmpfs.")
    fd = mounts.clone(mount["source"], recursive="bind" not in options)
    mounts.restrict(fd, options)
    return fd
