"""`orlop pull` and `orlop push` killed at any moment: nothing half-made shows, and the next one goes on from there."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from orlop.core.job import Job
from registry.client import Client, start, typed
from registry.parts import images
from registry.parts.faults import Proxy
from registry.parts.images import Pen
from registry.parts.registry import Registry

LARGE = [images.layer({f"data/{number}": images.noise(3_000_000, number)}) for number in range(3)]
SMALL = images.layer({"data/small": images.noise(40_000, 9)})
WHAT = images.image(*LARGE, SMALL)
# Bytes a second of each of the three connections: slow, so that most kills fall into the transfer.
RATE = 800_000
MOMENTS = (0.4, 1.6)
KILLS = 5


def kill_at_random(process: subprocess.Popen[bytes], chance: random.Random) -> bool:
    """Kill it without warning at some moment; False when it had come to its end by then."""
    time.sleep(chance.uniform(*MOMENTS))
    ended = process.poll() is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    return not ended


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_a_pull_that_is_killed_goes_on_where_it_was(
    client: Client, line: Proxy, plain_registry: Registry, chance: random.Random
) -> None:
    Pen(plain_registry.url, "kills/pull").push(WHAT, "1")
    words = ("pull", "--platform", "linux/amd64", f"{line.host}/kills/pull:1")
    line.rate = RATE
    kills = 0
    while kills < KILLS and kill_at_random(start(client.root, *words), chance):
        kills += 1
        assert client.sound()
        # The name comes last, with all its parts: then only the process had still to end.
        if client.names():
            assert not client.store.images.find(words[-1]).missing
            break
    line.rate = 0
    code, said = typed(client.root, *words)
    assert code == 0, said
    image = client.store.images.find(f"{line.host}/kills/pull:1")
    assert str(image.id) == WHAT.id and not image.missing and client.sound()
    twice = line.twice(WHAT.sizes)
    print(f"{kills} kills: {sum(line.served.values())} bytes for {sum(WHAT.sizes.values())}, {twice} of them twice")
    assert kills > 0
    # What was in flight when a process died: a tenth of a second and some buffers. Small blobs are not kept.
    assert twice <= kills * (3 * (RATE // 10 + (96 << 10)) + 2 * len(SMALL.stored))
    assert not list(client.store.partials.leftovers(before=time.time() + 9))


def test_a_pull_that_is_killed_while_it_unpacks_is_whole_after_the_next(
    client: Client, line: Proxy, plain_registry: Registry, chance: random.Random
) -> None:
    """The line is fast here: what gets killed is the work upon the store."""
    files = {f"usr/share/d{number % 50}/f{number}": b"x" * (number % 90) for number in range(4_000)}
    layers = [images.layer({f"{top}/{name}": data for name, data in files.items()}) for top in ("a", "b", "c")]
    what = Pen(plain_registry.url, "kills/many").push(images.image(*layers), "1")
    words = ("pull", "--platform", "linux/amd64", f"{line.host}/kills/many:1")
    kills = 0
    for moment in (0.4, 0.6, 0.8, 1.1):
        process = start(client.root, *words)
        time.sleep(moment * chance.uniform(0.9, 1.1))
        if process.poll() is not None:
            process.communicate()
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        kills += 1
        assert client.sound()
    code, said = typed(client.root, *words)
    assert code == 0, said
    assert str(client.store.images.find(f"{line.host}/kills/many:1").id) == what.id and client.sound()
    print(f"{kills} kills: {line.twice(what.sizes)} of {sum(what.sizes.values())} bytes twice")
    # What the killed ones left is found and taken away.
    client.store.collect(Job(), grace=0)
    client.store.settle(Job())
    assert client.sound() and _layers(client.store.root) == 3


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "packed"])
def test_a_push_that_is_killed_never_shows_half_an_image(
    client: Client, line: Proxy, plain_registry: Registry, chance: random.Random, kept: bool
) -> None:
    repository = f"kills/push-{'kept' if kept else 'packed'}"
    pen = Pen(plain_registry.url, repository)
    name = f"{line.host}/{repository}:1"
    what = _image_here(client, plain_registry, name, kept=kept)
    line.forget()
    line.rate = RATE
    kills = 0
    while kills < KILLS and kill_at_random(start(client.root, "push", name), chance):
        kills += 1
        # A name comes last: it is there with all its parts, or not at all.
        assert not pen.tags() or pen.whole("1").id == what
    line.rate = 0
    code, said = typed(client.root, "push", name)
    assert code == 0, said
    there = pen.whole("1")
    assert there.id == what and client.sound()
    size = sum(len(blob.data) for blob in there.blobs)
    again = line.received - size
    print(f"{kills} kills: {line.received} bytes sent for {size}, {again} of them again")
    assert kills > 0
    # This registry cannot go on with an upload that broke: of nine layers, the three under way are sent again.
    under_way = 3 * max(len(blob.data) for blob in there.blobs)
    assert again <= kills * under_way


def _image_here(client: Client, registry: Registry, name: str, *, kept: bool) -> str:
    """An image of nine layers in the store under that name: with compressed layers, or as trees only; its ID."""
    layers = [images.layer({f"data/{n}": images.noise(1_000_000, n)}, "gzip" if kept else "plain") for n in range(9)]
    source = f"kills/{'compressed' if kept else 'plain'}"
    what = Pen(registry.url, source).push(images.image(*layers), "1")
    client.pull(f"{registry.host}/{source}:1")
    # Under another registry's name: nothing can be mounted from where it came.
    client.tag(f"{registry.host}/{source}:1", name)
    return what.id


def _layers(root: Path) -> int:
    return sum(1 for _ in (root / "layers").iterdir())
