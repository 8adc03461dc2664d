"""`orlop images`, `orlop image ls`: the images of the store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from orlop.cli import output
from orlop.core import errors
from orlop.engine.engine import Engine
from orlop.store.images import Image

COLUMNS = {"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE"}
WITH_DIGESTS = {
    "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID", "CreatedSince": "CREATED",
    "Size": "SIZE",
}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker image ls` has them."""
    parser.add_argument("repository", nargs="?", help="only images of this repository[:tag]")
    parser.add_argument("-a", "--all", action="store_true", help="no effect: the store has no intermediate images")
    parser.add_argument("-q", "--quiet", action="store_true", help="only image IDs")
    parser.add_argument("--digests", action="store_true", help="show digests")
    parser.add_argument("--no-trunc", action="store_true", help="whole IDs")
    parser.add_argument(
        "-f", "--filter", action="append", default=[], help="dangling=, reference=, label=, before=, since="
    )
    parser.add_argument("--format", help="'json', 'table …' or a template such as '{{.Repository}}:{{.Tag}}'")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="one JSON object a line")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print them, newest first."""
    images = engine.images.list(arguments.repository, tuple(map(_filter, arguments.filter)))
    rows = [row for image in images for row in _rows(image, whole=arguments.no_trunc)]
    if arguments.quiet:
        sys.stdout.write("".join(f"{identity}\n" for identity in dict.fromkeys(row["ID"] for row in rows)))
        return 0
    output.print_rows(rows, WITH_DIGESTS if arguments.digests else COLUMNS, arguments.format)
    return 0


def _rows(image: Image, *, whole: bool) -> Iterator[dict[str, Any]]:
    common = {
        "ID": str(image.id) if whole else image.id.short,
        "CreatedSince": output.age(image.config.created),
        "CreatedAt": image.config.created or "",
        "Size": output.size(image.size),
    }
    digests = {reference.repository: str(reference.digest) for reference in image.repo_digests}
    for reference in image.references:
        yield {
            "Repository": reference.familiar_repository,
            "Tag": reference.tag or "<none>",
            "Digest": digests.get(reference.repository, "<none>"),
            **common,
        }
    if not image.references:
        named = image.repo_digests[0] if image.repo_digests else None
        yield {
            "Repository": named.familiar_repository if named else "<none>",
            "Tag": "<none>",
            "Digest": str(named.digest) if named else "<none>",
            **common,
        }


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in ("dangling", "reference", "label", "before", "since"):
        raise errors.Invalid(
            f"invalid filter {text!r}", hint="Use dangling=true, reference=PATTERN, label=NAME, before= or since=IMAGE."
        )
    return name, value
