"""What `merged` works out is what the kernel's overlay shows, for every stack of layers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from shop import Shop, Tree, file, folder, link

from orlop.rootfs import snapshots

NAMES = ("a", "b", "c")

# Mounts the layers in a namespace of its own and prints every path, kind, mode and owner.
KERNEL = """
import os, sys
from orlop.runtime.linux import mounts, syscalls
syscalls.unshare(syscalls.CLONE_NEWNS)
mounts.make_private()
lowers = sys.argv[1:]
mounts.mount_overlay("/mnt", tuple(lowers), None, None)
for here, directories, files in os.walk("/mnt"):
    for name in directories + files:
        path = os.path.join(here, name)
        try:
            status = os.lstat(path)
        except FileNotFoundError:  # a listing that comes from one layer alone shows its whiteouts by name
            continue
        target = os.readlink(path) if os.path.islink(path) else ""
        print(path[4:], oct(status.st_mode), status.st_uid, status.st_size if os.path.isfile(path) else "", target)
"""


def random_layer(rng: random.Random) -> Tree:
    tree: Tree = {}

    def fill(prefix: str, depth: int) -> None:
        for name in NAMES:
            path = f"{prefix}{name}"
            match rng.randrange(8):
                case 0 | 1:
                    tree[path] = folder(rng.choice((0o755, 0o700)), rng.randrange(3))
                    if depth < 3:
                        fill(f"{path}/", depth + 1)
                case 2:
                    tree[path] = file("x" * rng.randrange(5), uid=rng.randrange(3))
                case 3:
                    tree[path] = link(rng.choice(("a", "/b", "../c")))
                case 4:
                    tree[f"{prefix}.wh.{name}"] = file()
                case 5 if prefix:
                    tree[f"{prefix}.wh..wh..opq"] = file()

    fill("", 0)
    return tree


def seen(shop: Shop, lowers: list[str]) -> list[str]:
    lines: list[str] = []

    def walk(path: str) -> None:
        found = shop.workshop.call("list", {"lowers": lowers, "path": path or "/"}, shop.job)["found"]
        kinds = {"file": 0o100000, "directory": 0o040000, "symlink": 0o120000}
        for child in found["children"]:
            mode = oct(kinds[child["kind"]] | child["mode"])
            size = child["size"] if child["kind"] == "file" else ""
            lines.append(f"{path}/{child['name']} {mode} {child['uid']} {size} {child['target'] or ''}")
            if child["kind"] == "directory":
                walk(f"{path}/{child['name']}")

    walk("")
    return sorted(line.strip() for line in lines)


@pytest.mark.skipif(os.geteuid() != 0, reason="compares with a mount of the host")
@pytest.mark.parametrize("seed", range(12))
def test_the_view_is_the_kernels(shop: Shop, seed: int) -> None:
    rng = random.Random(seed)
    chain = [shop.layer(random_layer(rng)) for _ in range(rng.randrange(2, 5))]
    lowers = snapshots.lowers(shop.store, chain)
    kernel = subprocess.run([sys.executable, "-c", KERNEL, *lowers], check=True, capture_output=True, text=True)
    assert seen(shop, lowers) == sorted(line.strip() for line in kernel.stdout.splitlines())


@pytest.mark.skipif(os.geteuid() != 0, reason="compares with a mount of the host")
@pytest.mark.parametrize("seed", range(12, 20))
def test_a_copy_shows_the_same_to_the_kernel_as_to_us(shop: Shop, seed: int) -> None:
    rng = random.Random(seed)
    chain = [shop.layer(random_layer(rng)) for _ in range(3)]
    source = shop.layer({"n/a/f": file("1"), "n/b": file("2"), "n/c/d/e": file("3")})
    made = shop.copy_from(chain, [source], ["n"], f"/new{seed}/a/")
    lowers = snapshots.lowers(shop.store, [*chain, made])
    kernel = subprocess.run([sys.executable, "-c", KERNEL, *lowers], check=True, capture_output=True, text=True)
    assert seen(shop, lowers) == sorted(line.strip() for line in kernel.stdout.splitlines())
    assert f"/new{seed}/a/c/d/e" in kernel.stdout


def test_a_layer_that_hides_its_root_hides_all_below(shop: Shop) -> None:
    chain = [shop.layer({"old": file()}), shop.layer({".wh..wh..opq": file(), "new": file()})]
    lowers = snapshots.lowers(shop.store, chain)
    assert [line.split()[0] for line in seen(shop, lowers)] == ["/new"]
    assert len(lowers) == 1


def test_files_are_read_inside_the_snapshot_only(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    layer = shop.layer(
        {
            "etc": folder(),
            "etc/hosts": file("hosts"),
            "up": link(f"../../../../..{tmp_path}/secret"),
            "in": link("/etc/hosts"),
        }
    )
    lowers = snapshots.lowers(shop.store, [layer])

    def read(path: str) -> str | None:
        text: str | None = shop.workshop.call("read", {"lowers": lowers, "path": path}, shop.job)["text"]
        return text

    assert (read("/in"), read("/up"), read("/etc"), read("/none")) == ("hosts", None, None, None)
