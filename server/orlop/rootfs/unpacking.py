"""ADD's archives: a tar, compressed or not, unpacked into a mounted snapshot as `tar -x` would."""

from __future__ import annotations

from orlop.archive import unpack as unpacker
from orlop.runtime.linux import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def unpack(archive: int, root: int, path: str, owner: tuple[int, int] | None, *, warn: Callable[[str], None]) -> None:
    """Unpack the open file `archive` into the directory `path` below `root`; `owner` takes the place of its owners.

    Raises `InvalidArchive`; `warn` is told what was left out.
    """
    # Loaded by the few steps that need it: decompressors are many modules.
    from orlop.archive import compression  # noqa: PLC0415

    with open(archive, "rb", buffering=0, closefd=False) as raw, compression.decompressed(raw) as plain:
        done = unpacker.unpack(
            plain,
            root,
            path.lstrip("/"),
            owner=owner,
            devices=not namespaces.in_user_namespace(),
            owners=not namespaces.single_id(),
        )
    if done.whiteouts_skipped:
        warn(f"{done.whiteouts_skipped} entries of the archive were left out: no layer can have files named .wh.…")
    if done.devices_skipped:
        warn(f"{done.devices_skipped} devices of the archive were left out: this user cannot make devices")
