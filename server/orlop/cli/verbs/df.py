"""`orlop system df`: what the store takes on disk."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime

from orlop.cli import output
from orlop.engine.engine import Engine
from orlop.runtime.container import Container
from orlop.store.usage import Usage

COLUMNS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
IMAGES = (
    "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS",
)  # fmt: skip
CONTAINERS = ("CONTAINER ID", "IMAGE", "COMMAND", "SIZE", "CREATED", "STATUS", "NAMES")
CACHE = ("CACHE ID", "SIZE", "CREATED", "LAST USED", "SHARED", "STEP")
_NAMES = {"images": "Images", "containers": "Containers", "build-cache": "Build Cache"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker system df` has them."""
    parser.add_argument("-v", "--verbose", action="store_true", help="each image, container and cached step by itself")
    parser.add_argument("--format", help="'json', 'table …' or a template")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="one JSON object a line")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Print the table."""
    containers = engine.containers.list(every=True)
    running = [each.id for each in containers if each.alive]
    if arguments.verbose and not arguments.format:
        _details(engine, engine.system.measure(running), containers)
        return 0
    rows = []
    for row in engine.system.usage(running):
        percent = f" ({row.reclaimable * 100 // row.size}%)" if row.size and row.type != "build-cache" else ""
        rows.append(
            {
                "Type": _NAMES[row.type],
                "TotalCount": str(row.total),
                "Active": str(row.active),
                "Size": output.size(row.size, 4),
                "Reclaimable": output.size(row.reclaimable, 4) + percent,
            }
        )
    output.print_rows(rows, COLUMNS, arguments.format)
    return 0


def _details(engine: Engine, usage: Usage, containers: tuple[Container, ...]) -> None:
    sys.stdout.write("Images space usage:\n\n" + output.table(IMAGES, _images(engine, usage, containers)))
    rows = [_container(each, usage) for each in containers]
    sys.stdout.write("\nContainers space usage:\n\n" + output.table(CONTAINERS, rows))
    sys.stdout.write(
        f"\nBuild cache usage: {output.size(usage.cache.size, 4)}\n\n" + output.table(CACHE, _cache(engine))
    )


def _images(engine: Engine, usage: Usage, containers: tuple[Container, ...]) -> list[list[str]]:
    """A row for each name; the sizes are those of the whole image in each."""
    each = {item.id: item for item in usage.each}
    users = Counter(container.image.id for container in containers)
    rows = []
    for image in engine.images.list():
        own = each.get(image.id)
        names = [(name.familiar_repository, name.tag or "<none>") for name in image.references]
        for repository, tag in names or [("<none>", "<none>")]:
            rows.append([
                repository, tag, image.id.short, output.age(image.config.created),
                output.size(own.shared + own.unique if own else image.size, 4),
                output.size(own.shared if own else 0, 4), output.size(own.unique if own else image.size, 4),
                str(users[str(image.id)]),
            ])  # fmt: skip
    return rows


def _container(each: Container, usage: Usage) -> list[str]:
    # The verb knows how a container's state reads; it is imported here only for this table.
    from orlop.cli.verbs import ps  # noqa: PLC0415

    row = ps.row(each, whole=False)
    size = output.size(usage.bundles.get(each.id, 0), 4)
    return [row["ID"], row["Image"], row["Command"], size, row["CreatedSince"], row["Status"], row["Names"]]


def _cache(engine: Engine) -> list[list[str]]:
    of_images = {layer.id for image in engine.images.list() for layer in image.layers}
    return [
        [
            record.key.rpartition(":")[2][:12], output.size(record.size, 4), _ago(record.created),
            _ago(record.last_used), str(record.layer_id in of_images).lower(), output.shorten(record.description, 45),
        ]
        for record in engine.system.cache()
    ]  # fmt: skip


def _ago(moment: float) -> str:
    return output.age(datetime.fromtimestamp(moment, UTC).isoformat())
