"""Ids of user namespaces, lean processes in them, and the reasons why they cannot be made."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from containers import in_child

from orlop.core import errors
from orlop.runtime import userns
from orlop.runtime.linux import idmap, leanjson, syscalls
from orlop.runtime.linux.channel import pair


def test_root_needs_no_namespace_and_a_user_gets_its_ranges(able: None) -> None:
    mapping = userns.for_current_user()
    if os.geteuid() == 0:
        assert mapping == userns.IDENTITY
    else:
        assert mapping.uids[0] == (0, os.geteuid(), 1)
    assert in_child(lambda: [os.geteuid(), os.getegid(), os.getgroups()])[:2] == [0, 0]


@pytest.mark.several_ids
def test_a_user_without_ranges_gets_its_own_id_alone_and_is_told_why(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root needs no ranges; this runs in the ordinary user's round")
    name = pwd.getpwuid(os.geteuid()).pw_name
    (tmp_path / "subuid").write_text("somebody:100000:65536\nbroken line\n:::\n")
    mapping = userns.for_current_user(subuid=str(tmp_path / "subuid"))
    assert (mapping.kind, mapping.uids) == ("single", ((0, os.geteuid(), 1),))
    assert mapping.reason == f"{tmp_path / 'subuid'} has no range for {name}"
    assert mapping.fix is not None
    assert f"--add-subuids 100000-165535 --add-subgids 100000-165535 {name}" in mapping.fix
    pid = os.fork()
    if pid == 0:
        idmap.enter(mapping.to_json())
        os._exit(0 if os.geteuid() == 0 and os.stat("/etc").st_uid == 65534 else 1)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.several_ids
def test_several_ranges_by_name_and_number_are_joined(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root needs no ranges; this runs in the ordinary user's round")
    name, uid = pwd.getpwuid(os.geteuid()).pw_name, os.geteuid()
    (tmp_path / "ids").write_text(f"{name}:200000:1000\n{uid}:300000:500\n")
    mapping = userns.for_current_user(subuid=str(tmp_path / "ids"), subgid=str(tmp_path / "ids"))
    assert mapping.uids == ((0, uid, 1), (1, 200000, 1000), (1001, 300000, 500))


def test_a_lean_process_has_only_what_it_was_given(able: None, tmp_path: Path) -> None:
    ours, theirs = pair()
    os.set_inheritable(theirs.fileno(), True)
    pid = userns.spawn(
        "orlop.runtime.probing:main",
        mapping=userns.for_current_user(),
        fds=(theirs.fileno(),),
        params={"store": str(tmp_path)},
    )
    theirs.close()
    seen = set()
    while (received := ours.receive()) is not None:
        seen.add(received[0]["name"])
    assert os.waitpid(pid, 0)[1] == 0
    assert seen == {"namespaces", "kernel", "layers", "proc", "seccomp", "limits"}
    assert os.listdir(tmp_path) == []
    ours.close()


def test_an_impossible_mapping_is_told_as_json_on_stderr(able: None) -> None:
    wrong = userns.IdMapping("ranges", ((0, 0, 1), (1, 1, 5)), ((0, 0, 1),), ("/bin/false", "/bin/false"))
    read, write = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    pid = userns.spawn("orlop.runtime.probing:main", mapping=wrong, stdio=(null, null, write))
    os.close(write)
    os.close(null)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 125
    with os.fdopen(read) as file:
        told = leanjson.loads(file.read())
    assert told["kind"] == "unavailable"
    assert told["message"] == "cannot map the ids of the user namespace: /bin/false ended with exit code 1"


def test_the_interpreter_is_a_sealed_copy() -> None:
    sealed = userns.seal()
    with pytest.raises(OSError, match="Operation not permitted"):
        os.pwrite(sealed.fd, b"x", 0)
    out = subprocess.run(
        [sealed.argv0, "-I", "-S", "-c", "import os, sys; print(os.readlink('/proc/self/exe'), sys.prefix)"],
        executable=f"/proc/self/fd/{sealed.fd}",
        pass_fds=(sealed.fd,),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert out[0] == "/memfd:python"
    assert out[-1] == sys.base_prefix
    sealed.close()


def test_starting_ten_lean_modules_imports_nothing_heavy() -> None:
    code = (
        f"import sys; sys.path.append({userns.SERVER_ROOT!r}); import orlop.runtime.shim.zygote, orlop.runtime.boot;"
        "print(sorted(set(sys.modules) & {'json','re','enum','typing','subprocess','asyncio','attrs','attr','socket',"
        "'signal','collections','functools','dataclasses','pathlib','threading','shutil','contextlib','inspect'}))"
    )
    out = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_an_exhausted_limit_of_namespaces_names_its_sysctl(able: None) -> None:
    if os.geteuid() == 0 and not os.access("/proc/sys/user/max_user_namespaces", os.W_OK):
        pytest.skip("the limit cannot be set here")

    def work() -> list[str | None]:
        single = {"kind": "single", "uids": [], "gids": []}
        idmap.enter(single)
        with open("/proc/sys/user/max_user_namespaces", "w") as file:
            file.write("0")
        try:
            idmap.enter(single)
        except errors.Unavailable as error:
            return [error.message, error.hint]
        return []

    message, hint = in_child(work)
    assert message == "cannot create a user namespace: no space left on device"
    assert hint == "Raise the limit: `sudo sysctl -w user.max_user_namespaces=15000`."


def test_a_refusal_by_a_seccomp_filter_is_recognized(able: None) -> None:
    from orlop.runtime.linux import capabilities, seccomp

    def work() -> list[str | None]:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.install(seccomp.compile(capabilities.DEFAULT & ~(1 << capabilities.SYS_ADMIN), os.uname().machine))
        try:
            idmap.enter({"kind": "single"})
        except errors.Unavailable as error:
            return [error.message, error.hint]
        return []

    message, hint = in_child(work)
    assert message is not None
    assert "inside of a container" in message
    assert hint is not None
    assert "seccomp=unconfined" in hint
