"""A rebuild of which nothing has changed: by a running server, a fresh `orlop` and `docker build`, interleaved.

usage: rebuild.py ORLOP_PYTHON BASE_TAR [ROUNDS]; prints medians in seconds and ratios. Docker is left out when no
daemon answers at DOCKER_HOST.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lsprotocol import types
from pygls.lsp.client import LanguageClient

DOCKERFILE = """FROM bench-base AS base
RUN echo one > /one
WORKDIR /app
COPY . .
FROM base
COPY --from=base /one /two
RUN cat /two
CMD ["sh"]
"""
FILES = 1000


def timed(words: list[str], env: dict[str, str]) -> float:
    """Wall seconds of a command that must succeed."""
    start = time.monotonic()
    subprocess.run(words, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


async def serve(python: str, env: dict[str, str]) -> LanguageClient:
    """A running server."""
    client = LanguageClient("bench", "1")
    await client.start_io(python, "-m", "orlop", "serve", env=env)
    await client.initialize_async(types.InitializeParams(capabilities=types.ClientCapabilities()))
    client.initialized(types.InitializedParams())
    return client


async def measure(python: str, base: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each subject, one of each a round."""
    with tempfile.TemporaryDirectory(prefix="orlop-bench-") as folder:
        context = Path(folder, "context")
        context.mkdir()
        (context / "Dockerfile").write_text(DOCKERFILE)
        for number in range(FILES):
            (context / f"file{number}").write_text(f"{number}\n" * 50)
        env = {**os.environ, "ORLOP_ROOT": str(Path(folder, "store"))}
        orlop = [python, "-m", "orlop"]
        subprocess.run([*orlop, "import", str(base), "bench-base"], check=True, env=env, stdout=subprocess.DEVNULL)
        build = [*orlop, "build", "-q", "-t", "bench", str(context)]
        docker = ["docker", "build", "--network", "none", "-q", "-t", "bench", str(context)]
        docker_env = {**os.environ, "DOCKER_BUILDKIT": "1"}
        with_docker = (
            shutil.which("docker")
            and subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
        )
        if with_docker:
            subprocess.run(["docker", "import", str(base), "bench-base"], check=True, stdout=subprocess.DEVNULL)
            timed(docker, docker_env)
        timed(build, env)
        client = await serve(python, env)
        params = {"context": str(context), "tags": ["bench"]}
        found: dict[str, list[float]] = {"orlop, running server": [], "orlop, fresh process": [], "docker build": []}
        for round_number in range(rounds + 1):
            start = time.monotonic()
            result = await client.protocol.send_request_async("image/build", params)
            took = time.monotonic() - start
            assert result.cached == result.steps, "something ran again"
            seconds = {"orlop, running server": took, "orlop, fresh process": timed(build, env)}
            if with_docker:
                seconds["docker build"] = timed(docker, docker_env)
            if round_number:
                for name, value in seconds.items():
                    found[name].append(value)
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()
        subprocess.run([*orlop, "rmi", "-f", "bench", "bench-base"], check=True, env=env, stdout=subprocess.DEVNULL)
        subprocess.run([*orlop, "system", "prune", "-af"], check=True, env=env, stdout=subprocess.DEVNULL)
        return found


def main() -> None:
    """Measure and print."""
    python, base = sys.argv[1], Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 9
    found = asyncio.run(measure(python, base, rounds))
    peer = statistics.median(found["docker build"]) if found["docker build"] else None
    for name, values in found.items():
        if values:
            middle = statistics.median(values)
            ratio = f"  {middle / peer:.3f} of docker" if peer else ""
            print(f"{name:24} {middle:.4f} s ({min(values):.4f} to {max(values):.4f}){ratio}")


if __name__ == "__main__":
    main()
