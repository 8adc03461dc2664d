"""Real builds for the tests: a store with a tiny busybox base image, and one call that builds a Dockerfile."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orlop.builder import events
from orlop.builder.build import BuildRequest, BuildResult, BuildServices, build
from orlop.core import descriptor, errors, imageconfig, platform, reference
from orlop.core import digest as digests
from orlop.core.descriptor import Descriptor
from orlop.core.imageconfig import History, ImageConfig, RunConfig
from orlop.core.job import Job, Note
from orlop.core.mediatype import MediaType
from orlop.rootfs import layers as rootfs_layers
from orlop.rootfs.workshop import Workshop
from orlop.store.images import Image
from orlop.store.store import Store

BUSYBOX = Path(shutil.which("busybox") or "/bin/busybox")
HOST = platform.of_machine(os.uname().machine)
BASE = reference.parse("base").or_latest()
_APPLETS = (
    "awk cat chmod chown cp cut date dd dirname du echo env false find grep head hostname id kill ln ls md5sum mkdir mkfifo "
    "mknod mktemp mount mv nc nslookup od printf ps pwd readlink rm rmdir sed seq setsid sh sha256sum sleep sort stat sync tail tar "
    "test touch tr true tty umask uname unshare wc wget which whoami xargs yes"
).split()
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www:/var/www:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n",
    "etc/group": "root:x:0:\nwww-data:x:33:\nstaff:x:50:app\napp:x:1001:\n",
}


def base_tar() -> bytes:
    """A root file system: busybox with its applets, two users, the usual empty directories."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, mode in (
            ("bin", 0o755),
            ("etc", 0o755),
            ("root", 0o700),
            ("tmp", 0o1777),
            ("var", 0o755),
            ("run", 0o755),
        ):
            info = tarfile.TarInfo(path)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        binary = tarfile.TarInfo("bin/busybox")
        binary.size, binary.mode = BUSYBOX.stat().st_size, 0o755
        with BUSYBOX.open("rb") as file:
            tar.addfile(binary, file)
        for applet in _APPLETS:
            info = tarfile.TarInfo(f"bin/{applet}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        link = tarfile.TarInfo("var/run")
        link.type, link.linkname = tarfile.SYMTYPE, "/run"
        tar.addfile(link)
        for path, text in _FILES.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(text), 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


class Lab:
    """A store, its workshop and a context folder; `events` are those of the last build."""

    def __init__(self, root: Path) -> None:
        self.context = root / "context"
        self.context.mkdir()
        self.workshop = Workshop(root / "store")
        self.store = Store(root / "store", remove_tree=self._remove)
        self.events: list[Any] = []
        self.add_image(BASE, base_tar(), RunConfig(env=(f"PATH={imageconfig.DEFAULT_PATH}",), command=("sh",)))

    def close(self) -> None:
        self.store.close()
        self.workshop.close()

    def _remove(self, path: Path) -> None:
        self.workshop.call("remove", {"path": str(path)}, Job())

    def add_image(self, name: reference.Reference, tar: bytes, config: RunConfig) -> Image:
        layer = rootfs_layers.receive_tar(self.store, self.workshop, io.BytesIO(tar), Job())
        assert layer.diff_id is not None
        assert layer.tar_size is not None
        image = ImageConfig(
            HOST, config, (layer.diff_id,), (History("2020-01-01T00:00:00Z", "base"),), "2020-01-01T00:00:00Z"
        )
        raw = imageconfig.encode(image)
        manifest = descriptor.make_manifest(
            Descriptor(MediaType.OCI_CONFIG, digests.of_bytes(raw), len(raw)),
            (Descriptor(MediaType.OCI_LAYER, layer.diff_id, layer.tar_size),),
        )
        return self.store.images.add(manifest, raw, (layer.id,), references=(name,))

    def write(self, files: Mapping[str, str]) -> None:
        """Put files into the context; a name with a trailing slash is a directory."""
        for name, text in files.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_text(text)

    def build(self, text: str, *, job: Job | None = None, **options: Any) -> BuildResult:
        """Build a Dockerfile given as text."""
        self.events = []
        lock = threading.Lock()

        def listen(event: Any) -> None:
            with lock:
                self.events.append(event)

        if "tag" in options:
            options["tags"] = (reference.parse(options.pop("tag")).or_latest(),)
        request = BuildRequest(context=options.pop("context", self.context), dockerfile_text=text, **options)
        services = BuildServices(store=self.store, workshop=self.workshop, host=HOST, now=time.time)
        return build(request, services, job.child(listen) if job else Job(listen))

    def ran(self) -> str:
        """What happened to each step of the last build, in the order of the file: `=` cached, `!` run, `x` failed."""
        steps = next(event.steps for event in self.events if isinstance(event, events.BuildStarted))
        marks = {step.id: "." for step in steps if "FROM " not in step.name}
        for event in self.events:
            for kind, mark in ((events.StepCached, "="), (events.StepDone, "!"), (events.StepFailed, "x")):
                if isinstance(event, kind) and event.id in marks:
                    marks[event.id] = mark
        return "".join(marks.values())

    def log(self) -> str:
        return "".join(event.data for event in self.events if isinstance(event, events.StepLog))

    def notes(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Note)]

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, events.BuildWarning)]

    def tree(self, image: Image, top: str = "/") -> dict[str, str]:
        """What `find` sees below a directory of an image: path -> `mode uid:gid [content or target]`."""
        text = self.run(
            image,
            f"cd {top} && find . -mindepth 1 | sort | while read f; do "
            'if [ -L "$f" ]; then echo "$f|link $(readlink "$f")"; '
            'elif [ -f "$f" ]; then echo "$f|$(stat -c "%a %u:%g" "$f") $(head -n 1 "$f")"; '
            'else echo "$f|$(stat -c "%a %u:%g" "$f")"; fi; done',
        )
        return dict(line.removeprefix("./").split("|", 1) for line in text.splitlines())

    def run(self, image: Image, command: str) -> str:
        """The output of a command in an image, read back through one more RUN."""
        name = reference.parse("probe").or_latest()
        self.store.images.tag(name, image.id)
        before = self.events
        self.build(
            f"FROM probe AS probed\nFROM base\nUSER 0\nCOPY --from=probed / /image\nRUN {json.dumps(['/bin/sh', '-c', 'cd /image; ' + command.replace('cd /', 'cd /image/', 1)])}",
            no_cache=True,
        )
        text = self.log()
        self.events = before
        return text


def failed(lab: Lab, text: str, **options: object) -> errors.OrlopError:
    """The error with which a build ends."""
    with pytest.raises(errors.OrlopError) as caught:
        lab.build(text, **options)
    return caught.value
