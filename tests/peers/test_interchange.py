"""What is saved here other tools read, and what Docker saves is the same image here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from comparing import whole_tree
from dockerfiles import CASES
from peering import Docker, saved

from harness import Terminal

pytestmark = pytest.mark.peer
NAME = "whiteouts"


@pytest.fixture
def image(shared_terminal: Terminal, context: Path) -> str:
    """An image with several layers, whiteouts and a command; its ID."""
    case = next(case for case in CASES if case.name == NAME)
    case.write(context, shared_terminal.account)
    with (context / "Dockerfile").open("a") as file:
        file.write('ENV GREETING=hello\nCMD ["sh", "-c", "echo $GREETING $(cat /var)"]\n')
    shared_terminal("build", "-q", "-t", "interchanged", str(context))
    return str(json.loads(shared_terminal("inspect", "interchanged"))[0]["Id"])


def test_docker_loads_and_runs_what_is_saved(shared_terminal: Terminal, docker: Docker | None, image: str) -> None:
    if docker is None:
        pytest.skip("needs root and dockerd")
    docker("load", stdin=saved(shared_terminal, "interchanged"))
    assert docker("image", "inspect", "-f", "{{.Id}}", "interchanged").decode().strip() == image
    assert docker("run", "--rm", "--network", "none", "interchanged") == b"hello f\n"


def test_an_image_that_docker_saves_keeps_its_id(shared_terminal: Terminal, peer: Docker | None, context: Path) -> None:
    if peer is None:
        pytest.skip("needs root and dockerd")
    case = next(case for case in CASES if case.name == "opaque")
    case.write(context, shared_terminal.account)
    peer("build", "-q", "--network", "none", "-t", "made-by-docker", str(context))
    shared_terminal("load", stdin=peer("save", "made-by-docker"))
    ours = json.loads(shared_terminal("inspect", "made-by-docker"))[0]["Id"]
    assert ours == peer("image", "inspect", "-f", "{{.Id}}", "made-by-docker").decode().strip()


def test_skopeo_reads_both_forms(shared_terminal: Terminal, image: str, tmp_path: Path) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("needs skopeo")
    for flags, transport in (((), "docker-archive"), (("--format", "oci"), "oci-archive")):
        target = tmp_path / f"{transport}.tar"
        target.write_bytes(saved(shared_terminal, "interchanged", *flags))
        seen = json.loads(subprocess.check_output(["skopeo", "inspect", f"{transport}:{target}"]))
        assert "GREETING=hello" in seen["Env"]
        assert len(seen["Layers"]) == 3


def test_umoci_unpacks_the_tree_that_the_layers_describe(shared_terminal: Terminal, image: str, tmp_path: Path) -> None:
    if shutil.which("umoci") is None or os.geteuid() != 0:
        pytest.skip("needs root and umoci")
    layout = tmp_path / "layout"
    layout.mkdir()
    subprocess.run(["tar", "-xC", layout], input=saved(shared_terminal, "interchanged", "--format", "oci"), check=True)
    (index,) = json.loads((layout / "index.json").read_text())["manifests"]
    tag = index["annotations"]["org.opencontainers.image.ref.name"]
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:{tag}", tmp_path / "bundle"], check=True, capture_output=True
    )
    expected = whole_tree(saved(shared_terminal, "interchanged"))
    assert _unpacked(tmp_path / "bundle" / "rootfs") == {
        path: (entry["type"], entry["mode"], entry["uid"], entry["gid"]) for path, entry in expected.items()
    }


def _unpacked(root: Path) -> dict[str, tuple[str, str, int, int]]:
    found: dict[str, tuple[str, str, int, int]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            status = path.lstat()
            kind = "symlink" if path.is_symlink() else "directory" if path.is_dir() else "file"
            found[str(path.relative_to(root))] = (kind, f"{status.st_mode & 0o7777:04o}", status.st_uid, status.st_gid)
    return found
