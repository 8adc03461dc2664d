"""Small Dockerfiles with their contexts: one for every rule in which an image can come out differently."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import attrs


@attrs.frozen
class File:
    """A file of a build context."""

    content: str | bytes = ""
    mode: int = 0o644


@attrs.frozen
class Link:
    """A symbolic link of a build context."""

    target: str


@attrs.frozen
class Folder:
    """A directory of a build context."""

    mode: int = 0o755


Entry = File | Link | Folder


@attrs.frozen
class Case:
    """A build; `known` names each field that Docker 20.10 makes differently, with the reason.

    `missing` says what `orlop build` cannot do yet.
    """

    name: str
    dockerfile: str
    files: Mapping[str, Entry] = attrs.field(factory=dict)
    flags: tuple[str, ...] = ()
    known: Mapping[str, str] = attrs.field(factory=dict)
    missing: str = ""

    def write(self, folder: Path, account: str | None = None) -> None:
        """Lay the context out below a folder, the same whatever the umask, as files of the account."""
        self._lay_out(folder)
        if account:
            subprocess.run(["chown", "-hR", f"{account}:", folder], check=True)
            # A change of owner clears the setuid and setgid bits.
            for path, entry in self.files.items():
                if not isinstance(entry, Link):
                    (folder / path).chmod(entry.mode)

    def _lay_out(self, folder: Path) -> None:
        (folder / "Dockerfile").write_text(self.dockerfile)
        for path, entry in self.files.items():
            target = folder / path
            for parent in reversed(target.relative_to(folder).parents[:-1]):
                (folder / parent).mkdir(mode=0o755, exist_ok=True)
            match entry:
                case File(content, mode):
                    target.write_bytes(content.encode() if isinstance(content, str) else content)
                    target.chmod(mode)
                case Link(aim):
                    os.symlink(aim, target)
                case Folder(mode):
                    target.mkdir(exist_ok=True)
                    target.chmod(mode)


def archive() -> bytes:
    """A tar with owners, a setuid file, a symbolic and a hard link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, mode, owner, extra in (
            ("top", tarfile.DIRTYPE, 0o750, (7, 8), ""),
            ("top/tool", tarfile.REGTYPE, 0o4755, (7, 8), "tool\n"),
            ("top/soft", tarfile.SYMTYPE, 0o777, (0, 0), "tool"),
            ("top/hard", tarfile.LNKTYPE, 0o4755, (7, 8), "top/tool"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode, (member.uid, member.gid) = kind, mode, owner
            data = extra.encode() if kind == tarfile.REGTYPE else b""
            member.size = len(data)
            member.linkname = "" if kind == tarfile.REGTYPE else extra
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


TREE: Mapping[str, Entry] = {
    "a.txt": File("a\n"),
    "b.txt": File("b\n", 0o600),
    "run.sh": File("#!/bin/sh\n", 0o755),
    "src/one.c": File("one\n"),
    "src/two.c": File("two\n"),
    "src/deep/three.c": File("three\n"),
    "src/link": Link("one.c"),
    "src/empty": Folder(0o700),
}

ARGS = {"history": "current BuildKit tells the value an ARG has, also one that comes from outside"}
HEALTH = {"history": "current BuildKit tells a start interval as well"}
SETUID = {"tree": "BuildKit 0.8 drops the setuid bit of --chmod, which the current one keeps"}
OWNERS = {"history": "current BuildKit tells --chown and --chmod"}
PORTS = {"history": "current BuildKit tells ports as a list"}

CASES: tuple[Case, ...] = (
    Case("scratch", "FROM scratch\nCOPY a.txt /\n", TREE),
    Case("scratch-config-only", "FROM scratch\nCOPY a.txt /\nENV A=1\nLABEL x=y\nUSER 5\n", TREE),
    Case(
        "stages",
        "FROM busybox AS one\nRUN echo 1 > /one\nFROM busybox AS unused\nRUN exit 1\n"
        "FROM busybox\nCOPY --from=one /one /two\nCOPY --from=0 /one /three\n",
    ),
    Case("stage-upon-stage", "FROM busybox AS Base\nENV A=1\nWORKDIR /w\nFROM base\nRUN echo $A > f\n"),
    Case("target", 'FROM busybox AS a\nCMD ["a"]\nFROM a AS b\nCMD ["b"]\n', flags=("--target", "a")),
    Case("arg-in-from", 'ARG NAME=busybox\nARG TAG\nFROM ${NAME}:${TAG:-latest}\nRUN echo "[$NAME]" > /n\n'),
    Case("global-arg", "ARG V=1\nFROM busybox\nARG V\nARG W=2\nRUN echo $V $W > /f\nENV X=$V$W\n", known=ARGS),
    Case("build-arg", "FROM busybox\nARG V=1\nRUN echo $V > /f\n", flags=("--build-arg", "V=9"), known=ARGS),
    Case("arg-beats-env", "FROM busybox\nENV B=env\nARG B=arg\nRUN echo $B > /b\nLABEL b=$B\n"),
    Case("env-beats-arg", "FROM busybox\nARG B=arg\nENV B=env\nRUN echo $B > /b\nLABEL b=$B\n"),
    Case("run-forms", 'FROM busybox\nRUN echo shell > /a\nRUN ["/bin/sh", "-c", "echo exec > /b"]\n'),
    Case("run-continued", "FROM busybox\nRUN echo a \\\n  # no\n\n  b \\\n  > /f\n"),
    Case("run-broken-json", "FROM busybox\nRUN [ 1 = 1 ] && echo yes > /f\nCMD [\"a\", 'b']\n"),
    Case("cmd", "FROM busybox\nCMD echo hello\n"),
    Case("cmd-reset-by-entrypoint", 'FROM busybox AS a\nCMD ["x"]\nFROM a\nENTRYPOINT ["/bin/echo"]\n'),
    Case("entrypoint-after-cmd", 'FROM busybox\nCMD ["x"]\nENTRYPOINT ["/bin/echo"]\n'),
    Case("entrypoint-shell", "FROM busybox\nENTRYPOINT exec top -b\nCMD a b\n"),
    Case(
        "env",
        "FROM busybox\nENV A=1 B=\"two words\" C='$A' D=x\\ y\nENV OLD the  rest of it\n"
        "ENV A=2 E=$A F=${NONE:-none}${A:+set} G=\\$A\nENV PATH=/opt/bin:$PATH\n",
    ),
    Case("label", 'FROM busybox\nLABEL a=1 "b c"="d e" f="g\\\nh"\nLABEL a=2 old=\nLABEL k some words\n'),
    Case("label-flag", "FROM busybox\nLABEL a=1\n", flags=("--label", "a=2", "--label", "b=3")),
    Case("expose", "FROM busybox\nARG P=90\nEXPOSE 80 53/udp 8000-8002/tcp $P\n", known=PORTS),
    Case(
        "user", "FROM busybox\nRUN chmod 755 /\nUSER 7:8\nRUN id -u > /tmp/u; id -g > /tmp/g\nCOPY a.txt /tmp/\n", TREE
    ),
    Case(
        "workdir",
        "FROM busybox\nWORKDIR /a/b\nWORKDIR c\nRUN pwd > p\nENV D=/e//f\nWORKDIR $D/\nCOPY a.txt .\n",
        TREE,
    ),
    Case("workdir-owner", "FROM busybox\nUSER 7\nWORKDIR /made/by\nUSER 0\nWORKDIR ..\n"),
    Case(
        "volume", 'FROM busybox\nRUN mkdir /v && echo 1 > /v/f\nVOLUME /v ["/w"]\nVOLUME ["/x y"]\nRUN echo 2 > /v/g\n'
    ),
    Case("stopsignal", "FROM busybox\nARG S=INT\nSTOPSIGNAL SIG$S\n"),
    Case(
        "healthcheck",
        "FROM busybox\nHEALTHCHECK --interval=5s --timeout=1m --retries=2 --start-period=1ms CMD true || false\n",
        known=HEALTH,
    ),
    Case("healthcheck-exec", 'FROM busybox\nHEALTHCHECK CMD ["/bin/true"]\n', known=HEALTH),
    Case("healthcheck-none", "FROM busybox\nHEALTHCHECK NONE\n", known=HEALTH),
    Case("shell", 'FROM busybox\nSHELL ["/bin/sh", "-ec"]\nRUN echo 1 > /f\nCMD ls\nENTRYPOINT echo\n'),
    Case("onbuild-kept", "FROM busybox\nONBUILD RUN echo $A > /f\nONBUILD COPY . /src\n"),
    Case("onbuild-fired", "FROM busybox AS a\nONBUILD ENV A=1\nONBUILD RUN echo $A > /f\nFROM a\nRUN echo 2 > /g\n"),
    Case("maintainer", "FROM busybox\nMAINTAINER Some One <one@example.org>\n"),
    Case("copy-files", "FROM busybox\nCOPY a.txt /new/dir/\nCOPY a.txt b.txt run.sh /many/\nCOPY a.txt /named\n", TREE),
    Case("copy-folder", "FROM busybox\nCOPY src /s\nCOPY src/ /home\nCOPY . /all/\n", TREE),
    Case("copy-wildcards", "FROM busybox\nCOPY *.txt src/t*.c /w/\nCOPY none* /n/\nCOPY s?c /q/\n", TREE),
    Case(
        "copy-chown",
        "FROM busybox\nCOPY --chown=7:8 a.txt /p/q/\nCOPY --chown=55 src /s\nCOPY --chown=root:8 run.sh /r\n",
        TREE,
        known=OWNERS,
    ),
    Case(
        "copy-chmod",
        "FROM busybox\nCOPY --chmod=600 run.sh /r\nCOPY --chmod=4755 a.txt /a\n",
        TREE,
        known=OWNERS | SETUID,
    ),
    Case(
        "copy-modes",
        "FROM busybox\nCOPY . /m/\n",
        {"s": File("s", 0o4755), "t": Folder(0o1777), "g": File("g", 0o2710)},
    ),
    Case("copy-symlinks", "FROM busybox\nCOPY src/link /l\nCOPY here /h\n", {**TREE, "here": Link("src")}),
    Case(
        "copy-through-symlink",
        "FROM busybox\nRUN mkdir /real && ln -s /real /soft\nCOPY a.txt /soft/\nCOPY src /soft\nWORKDIR /soft/in\n",
        TREE,
    ),
    Case(
        "copy-from-owner",
        "FROM busybox AS a\nRUN mkdir /d && echo 1 > /d/f && chown -R 7:8 /d && chmod 2751 /d\n"
        "FROM busybox\nCOPY --from=a /d /e\nCOPY --from=a /d/f /f\n",
    ),
    Case("copy-from-image", "FROM scratch\nCOPY --from=busybox /etc/passwd /etc/group /e/\n"),
    Case(
        "dockerignore",
        "FROM busybox\nCOPY . /c\n",
        {
            **TREE,
            ".dockerignore": File("# no\n*.txt\n!b.txt\nsrc\n!src/deep\n**/*.log\n"),
            "x/y.log": File("l"),
            "x/z": File("z"),
        },
    ),
    Case(
        "dockerignore-of-file",
        "FROM busybox\nCOPY . /c\n",
        {
            **TREE,
            ".dockerignore": File("src\n"),
            "Dockerfile.dockerignore": File("*.txt\nDockerfile*\n.dockerignore\n"),
        },
    ),
    Case("add-tar", "FROM busybox\nADD t.tar /x/\nADD a.txt /y\n", {**TREE, "t.tar": File(archive())}),
    Case("add-tar-not-copy", "FROM busybox\nCOPY t.tar /x/\n", {"t.tar": File(archive())}),
    Case(
        "whiteouts",
        "FROM busybox\nCOPY src /s\nRUN rm -r /s/deep /s/one.c /home && rm -r /var && echo f > /var\n",
        TREE,
    ),
    Case("opaque", "FROM busybox\nCOPY src /s\nRUN rm -r /s && mkdir /s && echo new > /s/new\n", TREE),
    Case("hard-links", "FROM busybox\nRUN echo 1 > /a && ln /a /b && mkdir /d && ln /a /d/c\n"),
    Case("special-files", "FROM busybox\nRUN mkfifo /p && ln -s nowhere /s && cp /etc/group /g && chmod 6755 /g\n"),
    Case("metadata-only", "FROM busybox\nRUN chmod 700 /tmp && chown 7:8 /etc/group\n"),
    Case(
        "mounts",
        "FROM busybox\nRUN --mount=type=bind,target=/ctx,source=src --mount=type=tmpfs,target=/t "
        "--mount=type=cache,target=/c cat /ctx/one.c > /f && echo 1 > /t/x && echo 1 > /c/y\n",
        TREE,
        missing="RUN --mount is not supported yet",
    ),
    Case("escape-directive", "# escape=`\nFROM busybox\nRUN echo a `\n  b > /f\nENV X=\\a\n"),
)
