"""What every test may lean on: an `orlop` to type at, base images, and an ordinary account for the rootless half."""

from __future__ import annotations

import compileall
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness import Terminal
from orlop.runtime import userns

REPOSITORY = Path(__file__).parents[1]
CACHE = Path(
    os.environ.get("ORLOP_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orlop-dev"
)
# The account that root's test runs become for the rootless half; made by scripts/test.
ACCOUNT = "orloptest"


def accounts() -> Sequence[str]:
    """Root tests both halves; an ordinary account tests its own."""
    return ("root", "rootless") if os.geteuid() == 0 else ("rootless",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An ordinary user without the packages that root would install runs all that can run without them."""
    if os.geteuid() == 0:
        return
    lacking = {}
    if userns.for_current_user().kind == "single":
        lacking["several_ids"] = "needs several ids: the package uidmap, and ranges in /etc/subuid and /etc/subgid"
    places = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if not _any_of(places, "slirp4netns", "pasta") or not _any_of(places, "nft", "iptables"):
        lacking["network_helper"] = "needs the packages slirp4netns and nftables"
    for item in items:
        for name, reason in lacking.items():
            if item.get_closest_marker(name) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


def _any_of(places: str, *programs: str) -> bool:
    return any(shutil.which(program, path=places) for program in programs)


@pytest.fixture(scope="session")
def readable_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package where any account can read it: a clone may lie in a private directory."""
    copy = Path("/var/tmp") / f"orlop-test-{os.getpid()}"
    shutil.copytree(REPOSITORY / "server" / "orlop", copy / "orlop", ignore=shutil.ignore_patterns("__pycache__"))
    copy.chmod(0o755)
    # As an installation is: the account may not write here, and would compile everything again for each command.
    compileall.compile_dir(copy, quiet=1)
    yield copy
    shutil.rmtree(copy, ignore_errors=True)


@pytest.fixture(scope="session", params=accounts())
def account(request: pytest.FixtureRequest) -> str | None:
    """None for this very account, the name of the ordinary one otherwise."""
    if os.geteuid() != 0 or request.param == "root":
        return None
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        pytest.skip(f"there is no account {ACCOUNT}: scripts/test makes it")
    return ACCOUNT


@pytest.fixture(scope="session")
def busybox_tar() -> Path:
    """A root file system with one static program."""
    target = CACHE / "busybox.tar"
    if not target.exists():
        made = subprocess.run([REPOSITORY / "scripts" / "base-images", "busybox"], capture_output=True)
        if made.returncode != 0:
            pytest.skip("the busybox base image cannot be made here")
    return target


@pytest.fixture(scope="session")
def debian_tar() -> Path:
    """A root file system with a shell and APT."""
    target = CACHE / "debian.tar"
    if not target.exists():
        made = subprocess.run([REPOSITORY / "scripts" / "base-images", "debian"], capture_output=True)
        if made.returncode != 0:
            pytest.skip("the Debian base image cannot be made here")
    return target


@pytest.fixture(scope="session")
def shared_terminal(account: str | None, busybox_tar: Path, readable_server: Path) -> Iterator[Terminal]:
    """A terminal with a store that has `busybox`; shared by the tests of one account."""
    root = Path("/var/tmp") / f"orlop-store-{os.getpid()}-{account or 'own'}"
    root.mkdir(mode=0o755)
    if account:
        shutil.chown(root, account, account)
    terminal = Terminal(root, account, readable_server)
    terminal("import", "-", "busybox:latest", stdin=busybox_tar.read_bytes())
    yield terminal
    terminal("rm", "-f", *terminal("ps", "-aq").split(), code=0) if terminal("ps", "-aq").split() else None
    terminal("rmi", "-f", *dict.fromkeys(terminal("images", "-q").split()))
    terminal("system", "prune", "-af")
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty build context that any account can read."""
    folder = Path("/var/tmp") / f"orlop-context-{os.getpid()}-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
