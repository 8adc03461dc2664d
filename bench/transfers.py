"""Pulls and pushes beside Docker, podman and skopeo, interleaved, every store on one fresh tmpfs.

usage: transfers.py ORLOP_PYTHON [ROUNDS] [SUBJECT,…]; prints medians in seconds, their ratio to the best peer, CPU
seconds and the peak memory of the largest process. What was pulled and pushed is verified outside the time measured,
so that whoever answers early fails.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import isolation
import payload
from payload import Image, Layer
from processes import Cost
from registryhost import Registry
from subjects import Subject, all_of, check_trees

Costs = dict[str, dict[str, list[Cost]]]


def pulls(subjects: list[Subject], registry: Registry, workloads: dict[str, Image], rounds: int) -> Costs:
    """Pull each image into an empty store."""
    costs: Costs = {}
    registry.wipe()
    names = {
        title: registry.upload(f"pull/image{number}", image) for number, (title, image) in enumerate(workloads.items())
    }
    for turn in range(rounds + 1):
        for title, image in workloads.items():
            for subject in subjects:
                cost = subject.pull(names[title])
                check_trees(subject, names[title], image)
                subject.clear()
                # The first round warms caches and the running engine.
                if turn:
                    costs.setdefault(title, {}).setdefault(subject.name, []).append(cost)
    return costs


def pushes(
    subjects: list[Subject], registry: Registry, folder: Path, image: Image, changed: Image, rounds: int
) -> tuple[Costs, dict[str, int]]:
    """Push an image into an empty registry, then one with a small layer more, then the first to another repository."""
    costs: Costs = {}
    sizes: dict[str, int] = {}
    first, second = f"{registry.host}/push/app:latest", f"{registry.host}/push/app:changed"
    other = f"{registry.host}/push/other:latest"
    archives = (image.save(folder / "image.tar", first), changed.save(folder / "changed.tar", second))
    for turn in range(rounds + 1):
        for subject in subjects:
            registry.wipe()
            for archive in archives:
                subject.load(archive)
            subject.tag(first, other)
            took = {
                "first push": subject.push(first), "push after one small layer": subject.push(second),
                "push to a second repository": subject.push(other),
            }  # fmt: skip
            sizes[subject.name] = registry.check("push/app", image)
            registry.check("push/app", changed, "changed")
            registry.check("push/other", image)
            subject.clear()
            if turn:
                for title, cost in took.items():
                    costs.setdefault(title, {}).setdefault(subject.name, []).append(cost)
    return costs, sizes


def show(costs: Costs, sizes: dict[str, int] | None = None) -> None:
    """A table for each workload."""
    for title, found in costs.items():
        print(f"\n{title}")
        middles = {name: statistics.median(cost.wall for cost in each) for name, each in found.items()}
        peers = [middle for name, middle in middles.items() if not name.startswith(("orlop", "skopeo"))]
        best = min(peers, default=0.0)
        for name, each in found.items():
            walls = [cost.wall for cost in each]
            cpu = statistics.median(cost.cpu for cost in each)
            memory = max(cost.memory for cost in each)
            ratio = f"{middles[name] / best:6.3f} of the best peer" if best else ""
            pushed = f"  {sizes[name] / 1e6:.1f} MB pushed" if sizes and title == "first push" else ""
            print(
                f"  {name:26} {middles[name]:7.3f} s ({min(walls):.3f} to {max(walls):.3f})  {ratio}"
                f"  CPU {cpu:6.2f} s  {memory / 1e6:5.0f} MB{pushed}"
            )


def layers(folder: Path, count: int, files: int, size: int, seed: int) -> tuple[Layer, ...]:
    """That many layers with so many files and bytes each."""
    return tuple(payload.layer(folder / f"layer{seed + n}.tar", files, size, seed + n) for n in range(count))


def main() -> None:
    """Measure and print."""
    isolation.enter()
    python = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    only = sys.argv[4] if len(sys.argv) > 4 else ""
    with isolation.folder() as folder:
        one = payload.image(layers(folder, 1, 4_900, 116_000_000, 1))
        ten = payload.image(layers(folder, 10, 2_030, 50_000_000, 10))
        built = layers(folder, 4, 2_700, 99_000_000, 30)
        small = layers(folder, 1, 1, 10_000, 40)
        registry = Registry(folder / "registry")
        subjects = all_of(python, folder, wanted)
        try:
            workloads = {
                "pull of one layer: 120 MB (60 MB packed) in 4,900 files": one,
                "pull of ten layers: 518 MB in 20,300 files": ten,
            }
            if only != "pushes":
                show(pulls(subjects, registry, workloads, rounds))
            if only != "pulls":
                show(*pushes(subjects, registry, folder, payload.image(built), payload.image((*built, *small)), rounds))
        finally:
            for subject in subjects:
                subject.close()
            registry.close()


if __name__ == "__main__":
    main()
