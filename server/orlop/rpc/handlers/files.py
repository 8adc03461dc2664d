"""Handlers of `file/*`: a container's files for an editor."""

from __future__ import annotations

import base64
import binascii

from orlop.core import errors
from orlop.engine.engine import Engine
from orlop.engine.files import FileEntry
from orlop.protocol import files
from orlop.protocol.common import Empty
from orlop.rpc.dispatch import Call


class FileHandlers:
    """Thin: the rules are in `engine.files`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def stat(self, params: files.FilePathParams, call: Call) -> files.FileStatResult:
        """One file."""
        found = self._engine.containers.files.status(params.container, params.path, call.job(), side=params.side)
        return files.FileStatResult(entry=_entry(found))

    def list(self, params: files.FilePathParams, call: Call) -> files.FileListResult:
        """A directory."""
        found = self._engine.containers.files.list(params.container, params.path, call.job(), side=params.side)
        return files.FileListResult(entries=[_entry(each) for each in found])

    def read(self, params: files.FilePathParams, call: Call) -> files.FileReadResult:
        """Content."""
        data = self._engine.containers.files.read(params.container, params.path, call.job(), side=params.side)
        return files.FileReadResult(data=base64.b64encode(data).decode("ascii"))

    def write(self, params: files.FileWriteParams, call: Call) -> Empty:
        """New content."""
        try:
            data = base64.b64decode(params.data, validate=True)
        except binascii.Error as error:
            raise errors.Invalid(f"cannot write {params.path}: the content is no base64") from error
        self._engine.containers.files.write(
            params.container, params.path, data, call.job(), create=params.create, overwrite=params.overwrite
        )
        return Empty()

    def make_directory(self, params: files.FileMakeDirectoryParams, call: Call) -> Empty:
        """A directory."""
        self._engine.containers.files.make_directory(params.container, params.path, call.job())
        return Empty()

    def remove(self, params: files.FileRemoveParams, call: Call) -> Empty:
        """Remove."""
        self._engine.containers.files.remove(params.container, params.path, call.job(), recursive=params.recursive)
        return Empty()

    def rename(self, params: files.FileRenameParams, call: Call) -> Empty:
        """Move."""
        self._engine.containers.files.rename(
            params.container, params.path, params.target, call.job(), overwrite=params.overwrite
        )
        return Empty()

    def copy(self, params: files.FileCopyParams, call: Call) -> Empty:
        """To or from the host."""
        copies, job = self._engine.containers.copies, call.job()
        if params.direction == "download":
            copies.take(params.container, params.path, params.host_path, archive=False, follow=True, job=job)
        else:
            copies.put(params.container, params.host_path, params.path, archive=False, follow=True, job=job)
        return Empty()


def _entry(found: FileEntry) -> files.FileEntry:
    return files.FileEntry(
        name=found.name,
        kind=found.kind,
        target=found.target,
        size=found.size,
        mode=found.mode,
        uid=found.uid,
        gid=found.gid,
        mtime=found.mtime / 1e6,
    )
