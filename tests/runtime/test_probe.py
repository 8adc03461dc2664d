"""What the host allows is found out by doing it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from containers import in_child

from orlop.core import errors
from orlop.runtime import probe, userns
from orlop.runtime.linux import syscalls
from orlop.runtime.linux.channel import pair


def test_this_host_can_run_containers_and_nothing_is_left_of_the_test(able: None, tmp_path: Path) -> None:
    report = probe.probe(tmp_path)
    assert report.can_run
    assert {check.name for check in report.checks if check.ok} >= {
        "user namespace",
        "namespaces",
        "kernel",
        "layers",
        "seccomp",
    }
    assert os.listdir(tmp_path) == []
    report.require()


def test_a_store_that_cannot_carry_layers_is_refused(able: None) -> None:
    # sysfs takes no directories; the same check on a file system without overlay support ends alike.
    report = probe.probe(Path("/sys/kernel"))
    assert not report.can_run
    with pytest.raises(errors.Unavailable, match="cannot run containers here"):
        report.require()


def test_inside_a_confined_container_the_way_out_is_named(able: None) -> None:
    from orlop.runtime.linux import capabilities

    def work() -> list[dict[str, object]]:
        capabilities.apply(bounding=capabilities.DEFAULT, wanted=capabilities.DEFAULT, uid=0, gid=0, groups=None)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        ours, theirs = pair()
        pid = userns.spawn("orlop.runtime.probing:main", fds=(theirs.fileno(),), params={"store": "/tmp"})
        theirs.close()
        answers = []
        while (received := ours.receive()) is not None:
            answers.append(received[0])
        os.waitpid(pid, 0)
        return answers

    (answer,) = in_child(work)
    assert (answer["name"], answer["ok"]) == ("namespaces", False)
    assert "--privileged" in str(answer["fix"])
