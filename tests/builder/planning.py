"""Plans Dockerfiles for the tests: a few base images that need no store, and one call."""

from __future__ import annotations

from collections.abc import Mapping

from orlop.builder import planner
from orlop.builder.plan import Plan
from orlop.core import errors, imageconfig, platform
from orlop.core.digest import of_bytes
from orlop.core.errors import Location
from orlop.core.imageconfig import History, ImageConfig, RunConfig
from orlop.core.reference import Reference
from orlop.dockerfile import parser

AMD64 = platform.parse("linux/amd64")
PATH = f"PATH={imageconfig.DEFAULT_PATH}"

IMAGES: Mapping[str, ImageConfig] = {
    "docker.io/library/base:latest": ImageConfig(
        AMD64,
        RunConfig(env=(PATH, "LANG=C"), command=("sh",), working_dir="/w", user="app"),
        diff_ids=(of_bytes(b"base"),),
        history=(History("2020-01-01T00:00:00Z", "base"), History("2020-01-01T00:00:00Z", "cmd", empty_layer=True)),
        created="2020-01-01T00:00:00Z",
        author="them",
    ),
    "docker.io/library/bare:latest": ImageConfig(AMD64, diff_ids=(of_bytes(b"bare"),)),
    "docker.io/library/trigger:latest": ImageConfig(
        AMD64,
        RunConfig(on_build=("COPY --from=other /a /b", "RUN echo $X", "ENV TRIGGERED=yes")),
        diff_ids=(of_bytes(b"trigger"),),
    ),
}


def find_image(reference: Reference, location: Location) -> ImageConfig:
    if str(reference) not in IMAGES:
        raise errors.ImageNotFound(f"no such image: {reference.familiar}", location=location)
    return IMAGES[str(reference)]


def plan(
    text: str,
    *,
    target: str | None = None,
    args: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    proxies: Mapping[str, str] | None = None,
    network: str = "default",
) -> Plan:
    tree = parser.parse(text)
    assert not tree.has_errors, tree.problems
    request = planner.PlanRequest(
        path="Dockerfile",
        target=target,
        build_args=args or {},
        labels=labels or {},
        network=network,
        proxies=proxies or {},
        build_platform=AMD64,
        target_platform=AMD64,
    )
    return planner.make(tree, request, find_image)
