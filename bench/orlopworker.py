"""An engine that stays up, as the server's does: reads one JSON command a line, answers with the seconds it took."""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from orlop.core import reference as references
from orlop.core.job import Job
from orlop.engine.containers import CommitOptions
from orlop.engine.creation import RunOptions
from orlop.engine.engine import Engine
from orlop.engine.settings import Settings


def answer(engine: Engine, command: dict[str, Any]) -> dict[str, Any]:
    """Do one thing."""
    name = command.get("name", "")
    match command["do"]:
        case "pull":
            return {"id": str(engine.registries.pull(references.parse(name), None, Job()).image.id)}
        case "push":
            return {"digest": str(engine.registries.push(references.parse(name), Job()).digest)}
        case "load":
            engine.images.load(Path(name), Job())
        case "tag":
            engine.images.tag(name, command["target"])
        case "clear":
            engine.system.prune(all_unused=True, only_cache=False, dry_run=False, job=Job())
            engine.store.settle(Job())
        case "run":
            with ThreadPoolExecutor(command.get("times", 1)) as pool:
                options = RunOptions(image=name, command=("true",), network=command["network"], remove=True)
                for done in [pool.submit(run, engine, options) for _ in range(command.get("times", 1))]:
                    done.result()
        case "exec":
            null = os.open(os.devnull, os.O_RDWR)
            session = engine.containers.exec(name, ("true",), stdio=(null, null, null))
            code, problem = session.wait(Job())
            session.close()
            os.close(null)
            if code:
                raise SystemExit(f"exec ended with {code}: {problem}")
        case "commit":
            engine.containers.commit(name, command["target"], CommitOptions(), Job())
        case "remove":
            engine.images.remove((name,), force=False, dry_run=False, job=Job())
        case "trees":
            image = engine.images.find(name)
            return {"trees": [str(engine.store.root / "layers" / layer.id / "diff") for layer in image.layers]}
    return {}


def run(engine: Engine, options: RunOptions) -> None:
    """Run a container in the foreground, to its end and removal."""
    created = engine.containers.create(options, Job())
    session = engine.containers.start(created.id, Job(), foreground=True)
    assert session is not None
    for _ in session.output(Job()):
        pass
    session.close()
    code = engine.containers.finish(created.id, Job(), session.exit_code)
    if code:
        raise SystemExit(f"the container ended with {code}")


def main() -> None:
    """Serve until the input ends."""
    engine = Engine(Settings.from_environment(dict(os.environ)))
    for line in sys.stdin:
        command = json.loads(line)
        start = time.perf_counter()
        result = answer(engine, command)
        sys.stdout.write(json.dumps({**result, "wall": time.perf_counter() - start}) + "\n")
        sys.stdout.flush()
    engine.close()


if __name__ == "__main__":
    main()
