"""What a container can learn of the processes that serve it: nothing of other containers, nothing of the host."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLAIN = "while :; do sleep 0.05; done"


def memory(pid: int) -> bytes:
    """Everything a process has written to its memory."""
    parts = []
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end = (int(each, 16) for each in line.split()[0].split("-"))
        if line.split()[1].startswith("rw"):
            parts.append(os.pread(fd, end - start, start))
    os.close(fd)
    return b"".join(parts)


def test_the_first_process_knows_nothing_of_other_containers(yard: Any) -> None:
    yard.start("first", PLAIN, env=("PATH=/bin", "OWN=secret-of-the-first-one"))
    words = {f"WORD{number}": f"secret-of-{'x' * number}" for number in range(100)}
    assert yard.exec("first", "true", env=words) == (0, "")
    pid = yard.start("second", PLAIN, init=True, env=("PATH=/bin", "OWN=variable-of-the-second"))
    held = memory(pid)
    seen, leaked = (text in held for text in (b"variable-of-the-second", b"secret-of"))
    assert seen, "the test does not read the memory it means"
    assert not leaked
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]


@pytest.mark.several_ids
def test_the_first_process_shows_neither_variables_nor_paths_of_the_host(yard: Any) -> None:
    look = (
        "cat /proc/1/comm /proc/1/cmdline; echo; cat /proc/1/environ; ls -l /proc/1/exe /proc/1/cwd; ls /proc/1/fd;"
        "cat /proc/1/maps | wc -c"
    )
    for user in ("", "node"):
        yard.start(f"init{user}", PLAIN, init=True, user=user)
        code, out = yard.exec(f"init{user}", "sh", "-c", look)
        assert code == 0
        comm, cmdline, *rest = out.replace("\0", "").split("\n")
        assert (comm, cmdline) == ("orlop-init", "orlop-init")
        assert not re.search(r"PATH=|LC_ALL", out)
        if os.geteuid() == 0:  # an ordinary user could not join the container any more
            assert "can't open '/proc/1/maps'" in out, out
            assert rest[-2] == "0", out


def test_a_program_that_joins_finds_nothing_but_what_the_container_has(yard: Any) -> None:
    yard.start("hostile", f"ln -s /proc/self/exe /start; ln -s /proc/1/cwd /work; : >/ready; {PLAIN}")
    script = (
        "until [ -e /ready ]; do sleep 0.02; done; for fd in /proc/$$/fd/*; do [ -e $fd ] && echo ${fd##*/}; done; true"
    )
    code, out = yard.exec("hostile", "sh", "-c", script)
    assert (code, out.split()) == (0, ["0", "1", "2"])
    refusal = 'exec: "/start": stat /start: too many levels of symbolic links'
    assert yard.exec("hostile", "/start", "-c", "print(1)") == (127, refusal)
    for cwd in ("/work", "/proc/self/fd/3", "/proc/self/root"):
        code, error = yard.exec("hostile", "true", cwd=cwd)
        assert (code, error.partition(": ")[0]) == (125, f"cannot enter the working directory {cwd}")


@pytest.mark.several_ids
def test_who_joins_a_container_cannot_be_looked_into(yard: Any, until: Callable[..., Any]) -> None:
    spy = """
        while :; do for p in /proc/[0-9]*; do
            read comm <$p/comm && [ "$comm" = orlop-exec ] || continue
            cat $p/environ; readlink $p/exe; grep -o python $p/maps
            echo "seen $(cat $p/cmdline)"
        done; done 2>/dev/null
    """
    (yard.base / "tmp").mkdir(mode=0o777)
    # As many lines as keep the helper busy for a moment while it stands inside.
    (yard.base / "etc" / "passwd").write_text("x:x:1:1:::\n" * 700_000 + "late:x:4711:0:::\n")
    # The one who has all there is to have: in a user namespace this is not much.
    yard.start("spy", spy, capabilities=None if os.geteuid() == 0 else ("ALL",))
    assert until(lambda: yard.exec("spy", "true", user="late") == (0, "") and "seen" in yard.output("spy"))
    # What is seen of it after its execve is the image's own.
    assert not re.search("LC_ALL|memfd|python|orlop/", yard.output("spy"))
