"""`orlop images`, `orlop image ls`: the images of the store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from orlop.cli import output
from orlop.engine import imagefilters
from orlop.engine.engine import Engine
from orlop.store.images import Image

COLUMNS = {"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE"}
WITH_DIGESTS = {
    "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID", "CreatedSince": "CREATED",
    "Size": "SIZE",
}  # fmt: skip
_NONE = "<none>"


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker image ls` has them."""
    parser.add_argument("repository", nargs="?", help="only images of this repository[:tag]; a pattern may have stars")
    parser.add_argument("-a", "--all", action="store_true", help="no effect: the store has no intermediate images")
    parser.add_argument("-q", "--quiet", action="store_true", help="only image IDs")
    parser.add_argument("--digests", action="store_true", help="show digests")
    parser.add_argument("--no-trunc", action="store_true", help="whole IDs")
    parser.add_argument(
        "-f", "--filter", action="append", default=[], metavar="NAME=VALUE",
        help="dangling=, reference=, label=, before=, since=, until=",
    )  # fmt: skip
    parser.add_argument("--format", help="'json', 'table …' or a template such as '{{.Repository}}:{{.Tag}}'")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="one JSON object a line")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print them, newest first."""
    images = engine.images.list(arguments.repository, imagefilters.parse(arguments.filter))
    with_digests = arguments.digests or ".Digest" in (arguments.format or "")
    rows = [row for image in images for row in _rows(image, digests=with_digests, whole=arguments.no_trunc)]
    if arguments.quiet:
        sys.stdout.write("".join(f"{row['ID']}\n" for row in rows))
        return 0
    output.print_rows(rows, WITH_DIGESTS if arguments.digests else COLUMNS, arguments.format)
    return 0


def _rows(image: Image, *, digests: bool, whole: bool) -> Iterator[dict[str, Any]]:
    """A row for each name: its tag beside each digest of its repository when they are asked for."""
    known: dict[str, list[str]] = {}
    for reference in image.repo_digests:
        known.setdefault(reference.familiar_repository, []).append(str(reference.digest))
    names: list[tuple[str, str, str]] = []
    for reference in image.references:
        repository = reference.familiar_repository
        shown = known.get(repository, []) if digests else []
        names += [(repository, reference.tag or _NONE, digest) for digest in shown or [_NONE]]
    tagged = {repository for repository, _, _ in names}
    for repository, values in known.items():
        if repository not in tagged:
            names += [(repository, _NONE, digest) for digest in values]
    for repository, tag, digest in names or [(_NONE, _NONE, _NONE)]:
        yield {
            "Repository": repository, "Tag": tag, "Digest": digest,
            "ID": str(image.id) if whole else image.id.short,
            "CreatedSince": output.age(image.config.created),
            "CreatedAt": output.stamp(image.config.created),
            "Size": output.size(image.size),
            "VirtualSize": output.size(image.size, 4),
            "SharedSize": "N/A", "UniqueSize": "N/A", "Containers": "N/A",
        }  # fmt: skip
