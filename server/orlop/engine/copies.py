"""Copying between a container and this host, and a container's whole file system as a tar; rules of `docker cp`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any

from orlop.archive import pack as packing
from orlop.archive import unpack as unpacking
from orlop.archive.tree import DIRECTORY
from orlop.core import errors
from orlop.core.job import Job
from orlop.rootfs.feeding import Feeder, make_pipe
from orlop.rootfs.workshop import Workshop
from orlop.runtime.container import Container
from orlop.runtime.manager import Manager


class Copies:
    """The use-cases of a container's files; links in a container never lead out of it."""

    def __init__(self, workshop: Workshop, manager: Manager) -> None:
        self._workshop = workshop
        self._manager = manager

    def take(self, name: str, path: str, target: str, *, archive: bool, follow: bool, job: Job) -> None:
        """Copy `path` of a container to `target` here; with `archive` its owners too, as far as this user may.

        A directory goes into one that exists, its entries do when the path ends with `/.`; `follow` means a link at
        its end. Raises `NotFound`, `Invalid` for a target that does not fit.
        """
        place = ""

        def choose(found: dict[str, Any]) -> str:
            nonlocal place
            called = found["leaf"] if found["leaf"] != "." else os.path.basename(os.path.normpath(path)) or "."
            place, inside = _place_here(target, called, directory=found["directory"], contents=_contents(path))
            return inside

        def receive(source: IO[bytes]) -> None:
            owner = None if archive else (os.geteuid(), os.getegid())
            root = os.geteuid() == 0
            unpacking.unpack(source, place, "/", owner=owner, devices=root and archive, owners=root)

        self._pack(name, path, choose, receive, follow=follow, job=job)

    def read(self, name: str, path: str, out: IO[bytes], *, follow: bool, job: Job) -> None:
        """Write `path` of a container to `out` as a tar, under its last name."""

        def choose(found: dict[str, Any]) -> str:
            if found["leaf"] != ".":
                return str(found["leaf"])
            return "." if _contents(path) else os.path.basename(os.path.normpath(path)) or "."

        self._pack(name, path, choose, lambda source: _carry(source, out, job), follow=follow, job=job)

    def put(self, name: str, source: str, path: str, *, archive: bool, follow: bool, job: Job) -> None:
        """Copy `source` of this host to `path` in a container; with `archive` its owners too, else they are root's."""
        plain = os.path.normpath(source)
        if follow or source.endswith(("/", "/.")):
            plain = os.path.realpath(plain)
        try:
            directory = os.path.isdir(plain) and not os.path.islink(plain)
            os.lstat(plain)
        except OSError as error:
            raise errors.NotFound(f"no such file or directory: {source}") from error
        found = self._manager.inspect(name)
        with self._open(found, writing=True, job=job) as (place, root):
            there = self._workshop.call("locate", {"place": place, "path": path}, job, fds=root)
            into, called = _place_there(
                there, path, os.path.basename(plain), directory=directory, contents=_contents(source)
            )
            with _packed(plain, called) as stream:
                self._unpack(place, root, into, stream, None if archive else (0, 0), job)

    def write(self, name: str, source: IO[bytes], path: str, *, archive: bool, job: Job) -> None:
        """Unpack a tar, compressed or not, into the directory `path` of a container."""
        found = self._manager.inspect(name)
        with self._open(found, writing=True, job=job) as (place, root):
            there = self._workshop.call("locate", {"place": place, "path": path}, job, fds=root)
            if not there["found"] or not there["directory"]:
                raise errors.Invalid(f"cannot unpack into {path}: it is no directory of {found.name}")
            self._unpack(place, root, there["path"], source, None if archive else (0, 0), job)

    def export(self, name: str, out: IO[bytes], job: Job) -> None:
        """Write the file system of a container, without its volumes, to `out` as a tar."""
        found = self._manager.inspect(name)
        with self._manager.locked(found.id, job):
            place = {**layers(found, writing=False), "mounts": []}
            self._run_pack(place, (), "/", lambda _: ".", lambda source: _carry(source, out, job), False, job)

    def changes(self, name: str, job: Job) -> tuple[tuple[str, str], ...]:
        """What a container changed: (`A`, `C` or `D`, path), sorted by path."""
        found = self._manager.inspect(name)
        params = {
            "lowers": list(found.spec.rootfs.lowers),
            "upper": str(found.bundle / "diff"),
            "stubs": dict(self._manager.stubs(found)),
        }
        rows = self._workshop.call("changed", params, job)["rows"]
        return tuple((kind, path) for kind, path in rows)

    def _pack(
        self,
        name: str,
        path: str,
        choose: Callable[[dict[str, Any]], str],
        receive: Callable[[IO[bytes]], None],
        *,
        follow: bool,
        job: Job,
    ) -> None:
        found = self._manager.inspect(name)
        with self._open(found, writing=False, job=job) as (place, root):
            self._run_pack(place, root, path, choose, receive, follow, job)

    def _run_pack(
        self,
        place: dict[str, Any],
        root: tuple[int, ...],
        path: str,
        choose: Callable[[dict[str, Any]], str],
        receive: Callable[[IO[bytes]], None],
        follow: bool,
        job: Job,
    ) -> None:
        read, write = make_pipe()
        with open(read, "rb") as source:
            receiver = _Receiver(receive, source)
            try:

                def on_event(event: dict[str, Any]) -> dict[str, Any]:
                    name = choose(event)
                    receiver.start()
                    return {"name": name}

                params = {"place": place, "path": path, "follow": follow}
                self._workshop.call("pack", params, job, fds=(write, *root), on_event=on_event)
            finally:
                os.close(write)
                receiver.finish()
        receiver.check()

    def _unpack(
        self,
        place: dict[str, Any],
        root: tuple[int, ...],
        into: str,
        stream: IO[bytes],
        owner: tuple[int, int] | None,
        job: Job,
    ) -> None:
        read, write = make_pipe()
        feeder = Feeder(stream, write, job)
        feeder.start()
        try:
            params = {"place": place, "path": into, "owner": None if owner is None else list(owner)}
            self._workshop.call("unpack", params, job, fds=(read, *root))
        finally:
            os.close(read)
            feeder.join()
        feeder.check()

    def _open(
        self, found: Container, *, writing: bool, job: Job
    ) -> contextlib.AbstractContextManager[tuple[dict[str, Any], tuple[int, ...]]]:
        return opened(self._manager, found, writing=writing, job=job)


@contextlib.contextmanager
def opened(
    manager: Manager, found: Container, *, writing: bool, job: Job
) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
    """How a task gets at a container's files: (place, descriptors) of `rootfs.visiting`.

    A container that does not run is kept from starting meanwhile.
    """
    with manager.locked(found.id, job) as current:
        if current.pid is None:
            yield layers(current, writing=writing), ()
            return
        fd = manager.root(current)
    try:
        yield {}, (fd,)
    finally:
        os.close(fd)


def layers(found: Container, *, writing: bool) -> dict[str, Any]:
    """The place (`rootfs.visiting`) of a container that does not run."""
    spec = found.spec.to_json()
    rootfs = spec["rootfs"]
    upper = rootfs["upper"]
    lowers = list(rootfs["lowers"])
    return {
        "lowers": lowers if writing or upper is None else [upper, *lowers],
        "upper": upper if writing else None,
        "work": rootfs["work"],
        "volatile": rootfs["volatile"],
        "skeleton": rootfs.get("skeleton"),
        "mounts": spec["mounts"],
    }


def _contents(path: str) -> bool:
    """Whether the entries of a directory are meant, not it itself."""
    return path.endswith("/.") or path == "."


def _place_here(target: str, called: str, *, directory: bool, contents: bool) -> tuple[str, str]:
    """(directory to unpack into, name in the tar) for a copy to this host."""
    if os.path.isdir(target):
        return target, "." if directory and (contents or called == ".") else called
    if os.path.lexists(target) and directory:
        raise errors.Invalid(f"cannot copy a directory to {target}: it is a file")
    if target.endswith("/") and not directory:
        raise errors.Invalid(f"cannot copy to {target}: there is no such directory", hint="Make it first.")
    parent, name = os.path.split(os.path.abspath(target))
    if not os.path.isdir(parent):
        raise errors.NotFound(f"cannot copy to {target}: there is no directory {parent}", hint="Make it first.")
    return parent, name


def _place_there(there: dict[str, Any], path: str, called: str, *, directory: bool, contents: bool) -> tuple[str, str]:
    """The same for a copy to a container."""
    if there["directory"]:
        return there["path"], "." if directory and contents else called
    if there["found"] and directory:
        raise errors.Invalid(f"cannot copy a directory to {path}: it is a file in the container")
    if there["path"] is None or (not there["found"] and path.endswith("/") and not directory):
        raise errors.NotFound(f"cannot copy to {path}: there is no such directory in the container")
    parent, _, name = there["path"].rpartition("/")
    return parent or "/", name


@contextlib.contextmanager
def _packed(path: str, name: str) -> Iterator[IO[bytes]]:
    """A tar of a path of this host, as it is written by a thread."""
    read, write = make_pipe()
    failure: list[BaseException] = []

    def work() -> None:
        parent = -1
        try:
            parent = os.open(os.path.dirname(path) or ".", DIRECTORY)
            leaf = os.path.basename(path) or "."
            with open(write, "wb") as out:
                packing.pack(parent, os.fsencode(leaf), os.fsencode(name), out.write)
        except BrokenPipeError:
            return
        except BaseException as error:  # noqa: BLE001 - raised again by whoever reads
            failure.append(error)
        finally:
            if parent >= 0:
                os.close(parent)

    thread = threading.Thread(target=work, name="pack", daemon=True)
    thread.start()
    with open(read, "rb") as source:
        try:
            yield source
        except BaseException:
            source.close()
            thread.join()
            raise
        thread.join()
        if failure:
            raise failure[0]


class _Receiver(threading.Thread):
    """Takes a stream apart while it is written."""

    def __init__(self, work: Callable[[IO[bytes]], None], source: IO[bytes]) -> None:
        super().__init__(name="receive", daemon=True)
        self._work = work
        self._source = source
        self._error: BaseException | None = None

    def run(self) -> None:
        """Take it."""
        try:
            self._work(self._source)
        except BaseException as error:  # noqa: BLE001 - raised again by `check`
            self._error = error
        while self._source.read(1 << 16):
            pass  # the writer must not wait for ever

    def finish(self) -> None:
        """Wait for the end, if it was started."""
        if self.ident is not None:
            self.join()

    def check(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise self._error


def _carry(source: IO[bytes], out: IO[bytes], job: Job) -> None:
    while data := source.read(1 << 18):
        job.checkpoint()
        out.write(data)
    out.flush()


def fill(workshop: Workshop, lowers: list[str], skeleton: str, path: str, target: str, job: Job) -> None:
    """Copy the directory `path` of an image into the directory `target` here, with its owners, if that is empty."""
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    read, write = make_pipe()
    failure: list[errors.OrlopError] = []
    like: list[int] = []

    def unpack() -> None:
        try:
            params: dict[str, Any] = {"place": {}, "path": "/", "owner": None, "like": like}
            workshop.call("unpack", params, job, fds=(read, fd))
        except errors.OrlopError as error:
            failure.append(error)
        finally:
            os.close(read)

    thread = threading.Thread(target=unpack, name="fill", daemon=True)

    def on_event(event: dict[str, Any]) -> dict[str, Any]:
        if not event["directory"]:
            raise errors.NotFound(f"{path} is no directory")
        like.extend((event["mode"], event["uid"], event["gid"]))
        thread.start()
        return {"name": "."}

    place = {"lowers": lowers, "upper": None, "work": None, "volatile": False, "skeleton": skeleton, "mounts": []}
    try:
        if os.listdir(fd):
            return
        with contextlib.suppress(errors.NotFound):
            params = {"place": place, "path": f"{path}/", "follow": True}
            workshop.call("pack", params, job, fds=(write,), on_event=on_event)
    finally:
        os.close(write)
        if thread.ident is None:
            os.close(read)
        else:
            thread.join()
        os.close(fd)
    if failure:
        raise failure[0]
