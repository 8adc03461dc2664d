"""From what people type to an image: digest, name, or the first digits of an ID."""

from __future__ import annotations

import re

from orlop.core import digest as digests
from orlop.core import errors
from orlop.core import reference as references
from orlop.core.digest import Digest
from orlop.core.reference import Reference
from orlop.store.database import Connection

_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")


def resolve(connection: Connection, text: str) -> Digest:
    """The ID of the image that `text` means; raises `ImageNotFound`, `Conflict` or `InvalidReference`."""
    text = text.strip()
    prefix = _PREFIX.match(text)
    if prefix and len(prefix[1]) == 64:
        found = _by_digest(connection, f"sha256:{prefix[1]}")
        if found is not None:
            return found
        raise _not_found(connection, text)
    name: Reference | None = None
    try:
        name = references.parse(text).or_latest()
    except errors.InvalidReference:
        if not prefix:
            raise
    found = None if name is None else _by_name(connection, name)
    if found is None and prefix:
        found = _by_prefix(connection, prefix[1])
    if found is None:
        raise _not_found(connection, text)
    return found


def stored_name(reference: Reference) -> str:
    """The spelling under which a name is kept: a digest wins over a tag."""
    if reference.digest is not None:
        return f"{reference.repository}@{reference.digest}"
    return str(reference)


def _by_digest(connection: Connection, digest: str) -> Digest | None:
    row = connection.execute(
        "SELECT id FROM images WHERE id = ? UNION ALL SELECT image FROM manifests WHERE digest = ?"
        " UNION ALL SELECT image FROM repo_digests WHERE digest = ?",
        (digest, digest, digest),
    ).fetchone()
    return digests.parse(row[0]) if row else None


def _by_name(connection: Connection, name: Reference) -> Digest | None:
    table = "refs" if name.digest is None else "repo_digests"
    query = f"SELECT image FROM {table} WHERE name = ?"  # noqa: S608 - one of two constants
    row = connection.execute(query, (stored_name(name),)).fetchone()
    return digests.parse(row[0]) if row else None


def _by_prefix(connection: Connection, prefix: str) -> Digest | None:
    rows = connection.execute(
        "SELECT id FROM images WHERE id >= ? AND id < ? ORDER BY id LIMIT 3",
        # "g" sorts after every hex digit.
        (f"sha256:{prefix}", f"sha256:{prefix}g"),
    ).fetchall()
    if len(rows) > 1:
        shown = ", ".join(digests.parse(row[0]).short for row in rows)
        raise errors.Conflict(
            f"image ID prefix {prefix!r} is ambiguous: {shown}", hint="Write more digits of the ID, or the name."
        )
    return digests.parse(rows[0][0]) if rows else None


def _not_found(connection: Connection, text: str) -> errors.ImageNotFound:
    names = [_familiar(row[0]) for row in connection.execute("SELECT name FROM refs ORDER BY name LIMIT 5000")]
    near = _near(text, names)
    hint = f"Did you mean {' or '.join(near)}?" if near else "List the images with `orlop images`."
    return errors.ImageNotFound(f"no such image: {text}", hint=hint)


def _near(text: str, names: list[str]) -> list[str]:
    """Other tags of the same repository first, then names spelled alike."""
    repository = text.partition(":")[0] if "/" not in text else text
    # Costs milliseconds of a start, and only a miss needs it.
    import difflib  # noqa: PLC0415

    same = [name for name in names if name.rpartition(":")[0] == repository]
    wanted = text if ":" in text else f"{text}:latest"
    alike = difflib.get_close_matches(wanted, names, n=3, cutoff=0.75)
    return list(dict.fromkeys([*same[:3], *alike]))[:3]


def _familiar(name: str) -> str:
    return references.parse(name).familiar
