"""Pulls an image into a store as a process of its own, which may kill itself half-way: what a crash leaves is real.

Arguments: the store, the reference, and the number of bytes of one blob after which to die (0: never).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from orlop.core import platform
from orlop.core import reference as references
from orlop.core.job import Job, TransferProgress
from orlop.registry.configuration import RegistryConfig
from orlop.registry.credentials import Memory
from orlop.registry.registries import Registries
from orlop.rootfs.content import StoreContent
from orlop.rootfs.workshop import Workshop
from orlop.store.store import Store
from orlop.transfer.copy import copy


def main(root: str, name: str, die_at: str) -> None:
    phases: set[str] = set()

    def hear(event: Any) -> None:
        if isinstance(event, TransferProgress):
            phases.add(event.phase)
            if event.phase == "copying" and 0 < int(die_at) <= event.done:
                os.kill(os.getpid(), signal.SIGKILL)

    store, workshop = Store(Path(root)), Workshop(Path(root))
    reference, job = references.parse(name), Job(hear)
    reader = Registries(RegistryConfig(), Memory()).reader(reference, partials=store.partials, job=job)
    host = platform.of_machine(os.uname().machine)
    with store.leases.hold("pull", ()):
        copied = copy(reader, StoreContent(store, workshop), reference, reference, job, platform=host)
    image = store.images.by_manifest(copied.target.digest)
    assert image is not None
    print(json.dumps({"image": str(image.id), "copied": copied.copied, "phases": sorted(phases)}))
    workshop.close()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
