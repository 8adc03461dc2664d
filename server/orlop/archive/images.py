"""Image archives as `save` writes and `load` reads them, whatever their form."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from orlop.archive import compression, dockertar, ocilayout, parts, tarheader
from orlop.archive.archivewriter import ArchiveWriter
from orlop.archive.compression import Compression, Readable
from orlop.archive.dockertar import DockerArchive
from orlop.archive.ocilayout import OciLayout
from orlop.core import content, errors
from orlop.core import digest as digests
from orlop.core.descriptor import Descriptor, Index
from orlop.core.job import Job
from orlop.core.reference import Reference

FORMS = ("docker", "oci")

_DEPTH = 4
_HINT = "Name an archive made by a save command; a root file system becomes an image with `orlop import`."


class ImageArchive(content.Reader, Protocol):
    """A source of images that knows what it has; to be closed."""

    def names(self) -> tuple[tuple[Reference | None, Descriptor], ...]:
        """Every image with its name; one that has several names comes several times, one without has None."""

    def close(self) -> None:
        """Let go of the archive."""

    def __enter__(self) -> Self:
        """Itself, for `with`."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""


def open_archive(source: Path | Readable, *, spool: Path | None = None, job: Job | None = None) -> ImageArchive:
    """Open a docker-archive, an OCI archive or an OCI layout folder, recognized by content.

    A stream, or a compressed archive, is first copied to an unnamed file in the folder `spool` (else in the system's
    folder for temporary files), since archives name their parts at the end. Raises `InvalidArchive` for anything that
    is no image archive or is damaged, `NotFound` if there is no such file.
    """
    job = job or Job()
    if not isinstance(source, Path):
        return _recognized(_spooled(source, spool, job))
    if source.is_dir():
        return _folder(source)
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise errors.NotFound(f"cannot open {source}: no such file") from error
    except OSError as error:
        raise errors.from_os(error, f"open {source}") from error
    file = open(fd, "rb")  # noqa: SIM115 - the archive closes it
    if stat.S_ISREG(os.fstat(fd).st_mode) and compression.detect(os.pread(fd, 8, 0)) is Compression.NONE:
        return _recognized(file)
    with file:
        return _recognized(_spooled(file, spool, job))


def write(
    out: IO[bytes],
    source: content.Reader,
    images: tuple[tuple[Reference | None, Descriptor], ...],
    form: str,
    job: Job,
) -> None:
    """Write images of `source` to the stream `out` as one archive; `form` is one of `FORMS`.

    Shared blobs are written once, in the order of the images. Of an index, the images that the source has are written.
    """
    if form not in FORMS:
        raise errors.Invalid(f"unknown archive form {form!r}", hint=f"Choose {' or '.join(FORMS)}.")
    writer = ArchiveWriter(out.write, docker=form == "docker")
    for name, target in images:
        _copy(source, writer, target, job, _DEPTH)
        if name is None:
            writer.keep(target)
        else:
            writer.tag(name.or_latest(), target)
    writer.finish()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the name `path` once it is whole and on disk; if the block fails, nothing has changed."""
    try:
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise errors.from_os(error, f"write {path}") from error
    try:
        with open(fd, "wb") as file:
            yield file
            file.flush()
            os.fchmod(fd, 0o644)
            os.fsync(fd)
        os.replace(temporary, path)
    except OSError as error:
        os.unlink(temporary)
        raise errors.from_os(error, f"write {path}") from error
    except BaseException:
        os.unlink(temporary)
        raise


def _copy(source: content.Reader, writer: ArchiveWriter, target: Descriptor, job: Job, depth: int) -> None:
    if depth == 0:
        raise errors.Invalid(f"image index is nested more than {_DEPTH} deep")
    document = source.document(target)
    if isinstance(document, Index):
        for below in document.manifests:
            if source.has(below):
                _copy(source, writer, below, job, depth - 1)
    else:
        for blob in (*document.layers, document.config):
            job.checkpoint()
            if not writer.has(blob):
                with source.open(blob, job) as file:
                    writer.put(blob, file, job)
    writer.put_document(document, job)


def _folder(path: Path) -> ImageArchive:
    if not (path / ocilayout.INDEX).exists():
        raise errors.InvalidArchive(
            f"{path} is not an image: it has no {ocilayout.INDEX}",
            hint="Name an archive or the folder of an OCI layout.",
        )
    return OciLayout(parts.Folder(path))


def _recognized(file: IO[bytes]) -> ImageArchive:
    try:
        return _recognize(file)
    except BaseException:
        file.close()
        raise


def _recognize(file: IO[bytes]) -> ImageArchive:
    file.seek(0)
    if not tarheader.is_header(file.read(tarheader.BLOCK)):
        raise errors.InvalidArchive("not an image archive: it is no tar", hint=_HINT)
    files = parts.Tar(file)
    if files.size(dockertar.MANIFEST) is not None:
        return DockerArchive(files)
    if files.size(ocilayout.INDEX) is not None:
        return OciLayout(files)
    if files.size("repositories") is not None:
        raise errors.InvalidArchive(
            "the archive has the form of Docker before 1.10", hint="Save the image again with a current tool."
        )
    raise errors.InvalidArchive(
        f"not an image archive: it has neither {dockertar.MANIFEST} nor {ocilayout.INDEX}", hint=_HINT
    )


def _spooled(source: Readable, folder: Path | None, job: Job) -> IO[bytes]:
    try:
        spool: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the archive closes it
    except OSError as error:
        raise errors.from_os(error, "make a temporary file") from error
    try:
        plain = compression.decompressed(source)
        while chunk := plain.read(digests.CHUNK):
            job.checkpoint()
            spool.write(chunk)
        spool.flush()
    except OSError as error:
        spool.close()
        raise errors.from_os(error, "read the archive") from error
    except BaseException:
        spool.close()
        raise
    return spool
