"""What `orlop commit` makes of a container is what `docker commit` makes of one that did the same."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from typing import Any

import pytest
from comparing import CONFIG
from peering import Docker, saved

from harness import Terminal

pytestmark = pytest.mark.peer

SCRIPT = """
mkdir -p /new/deep /new/empty && echo one > /new/deep/file && ln /new/deep/file /new/second && ln -s deep /new/link
ln -s /nowhere /new/dangling && ln -s first /new/twin && ln /new/twin /new/twins
chmod 4755 /new/deep/file && chmod 1777 /new/empty && chown 33:33 /new/deep && chown -h 33:1 /new/link && mkfifo /new/pipe
rm /bin/true && rm -r /home && mkdir /home && echo x > /home/mine && echo more >> /etc/passwd
rm -r /var && echo file > /var && rm /bin/false && mkdir /bin/false && echo in > /bin/false/in
mkdir /gone && echo x > /gone/x && rm -r /gone && chmod 700 /tmp && mv /etc/group /etc/moved && touch "/sp ace" /Ä
"""
CHANGES = (
    "ENV B=$A/2 C=3", "EXPOSE 80 53/udp", "LABEL k=v x=z", 'CMD ["a", "b"]', "ENTRYPOINT /e", "ONBUILD RUN x", "VOLUME /v",
    "WORKDIR sub", "USER node", "HEALTHCHECK CMD true",
)  # fmt: skip


def top_layer(saved_image: bytes) -> dict[str, tuple[Any, ...]]:
    """What its top layer says, entry by entry; times are those of two machines' clocks."""
    with tarfile.open(fileobj=io.BytesIO(saved_image)) as archive:
        layers = json.load(archive.extractfile("manifest.json"))[0]["Layers"]  # type: ignore[arg-type]
        with tarfile.open(fileobj=archive.extractfile(layers[-1])) as tar:
            return dict(described(tar))


def described(tar: tarfile.TarFile) -> Any:
    groups: dict[str, set[str]] = {}
    members = [(member, member.name.strip("/")) for member in tar]
    for member, name in members:
        if member.islnk():
            groups.setdefault(member.linkname.strip("/"), set()).add(name)
    for member, name in members:
        file = (
            tar.extractfile(member)
            if member.isreg() or (member.islnk() and tar.getmember(member.linkname).isreg())
            else None
        )
        first = member.linkname.strip("/") if member.islnk() else name
        together = tuple(sorted({first, *groups.get(first, ())})) if first in groups else ()
        origin = tar.getmember(member.linkname) if member.islnk() else member
        marks = ".wh." in name
        yield name, (
            origin.type, None if marks else origin.mode & 0o7777, origin.uid, origin.gid, origin.linkname, together,
            hashlib.sha256(file.read()).hexdigest() if file else None,
            {key: value for key, value in origin.pax_headers.items() if "xattr" in key},
        )  # fmt: skip


def configuration(saved_image: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(saved_image)) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        document = json.load(archive.extractfile(manifest["Config"]))  # type: ignore[arg-type]
    last = document["history"][-1]
    # Docker keeps them in no order of their own.
    document["config"]["Env"] = sorted(document["config"].get("Env") or ())
    return {
        "config": {key: document["config"].get(key) or None for key in CONFIG},
        "history": [last.get(key) for key in ("created_by", "comment", "author", "empty_layer")],
        "author": document.get("author"),
        "layers": len(document["rootfs"]["diff_ids"]),
        "steps": len(document["history"]),
    }


def both(terminal: Terminal, peer: Docker | None, run: tuple[str, ...], commit: tuple[str, ...]) -> tuple[bytes, bytes]:
    """The images of one container each, made by the same words."""
    if peer is None:
        pytest.skip("needs Docker, as root")
    name = f"peer-{os.urandom(4).hex()}"
    terminal("run", "--name", name, "--network", "none", *run)
    peer("run", "--name", name, "--network", "none", *run)
    terminal("commit", *commit, name, f"{name}:1")
    peer("commit", *commit, name, f"{name}:1")
    result = saved(terminal, f"{name}:1"), peer("save", f"{name}:1")
    terminal("rm", name)
    terminal("rmi", f"{name}:1")
    peer("rm", name)
    return result


def test_the_layer_is_dockers_entry_by_entry(shared_terminal: Terminal, peer: Docker | None) -> None:
    ours, theirs = map(top_layer, both(shared_terminal, peer, ("busybox", "sh", "-ec", SCRIPT), ()))
    assert sorted(ours) == sorted(theirs)
    assert {name: entry for name, entry in ours.items() if theirs[name] != entry} == {}, theirs


@pytest.mark.several_ids
@pytest.mark.parametrize(
    ("run", "commit"),
    [
        (("-e", "A=1", "-e", "Z=2", "-l", "x=y", "-w", "/tmp", "-u", "33", "busybox", "touch", "/tmp/x"), ()),
        (("busybox", "true"), ("-m", "nothing", "-a", "Ada <a@example.org>")),
        (("--entrypoint", "/bin/touch", "busybox", "/x"), ("-m", "said")),
        (("-e", "A=1", "busybox", "touch", "/x"), tuple(word for each in CHANGES for word in ("-c", each))),
        (("busybox", "touch", "/x"), ("-c", "ENTRYPOINT x", "-c", "CMD y")),
        (("busybox", "touch", "/x"), ("-c", "ENTRYPOINT x")),
        (("busybox", "touch", "/x"), ("-c", "CMD node app.js", "-m", "Add app", "-p=false")),
    ],
)  # fmt: skip
def test_the_configuration_is_dockers(
    shared_terminal: Terminal, peer: Docker | None, run: tuple[str, ...], commit: tuple[str, ...]
) -> None:
    ours, theirs = map(configuration, both(shared_terminal, peer, run, commit))
    assert ours == theirs


def test_what_changed_is_what_docker_says(shared_terminal: Terminal, peer: Docker | None) -> None:
    if peer is None:
        pytest.skip("needs Docker, as root")
    name = f"peer-{os.urandom(4).hex()}"
    words = (
        "run",
        "--name",
        name,
        "--network",
        "none",
        "busybox",
        "sh",
        "-ec",
        f"{SCRIPT}\ncat /etc/moved >> /etc/moved.2",
    )
    shared_terminal(*words)
    peer(*words)
    assert shared_terminal("diff", name).splitlines() == sorted(
        peer("diff", name).decode().splitlines(), key=lambda line: line[2:]
    )
    shared_terminal("rm", name)
    peer("rm", name)
