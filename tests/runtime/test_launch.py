"""Starting a program in a container, with real namespaces."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import attrs
import pytest
from containers import Lab, in_child

from orlop.runtime import launch
from orlop.runtime.spec import InlineFile, Mount, Rlimit, Rootfs


def test_exit_codes_and_output_come_back(lab: Lab) -> None:
    ended = lab.sh("echo out; echo err >&2; exit 7")
    assert (ended.code, ended.signal, ended.error, ended.out, ended.err) == (7, None, None, "out\n", "err\n")
    assert lab.run("true").code == 0


def test_a_signal_is_told_as_128_and_its_number(lab: Lab) -> None:
    ended = lab.sh("(sleep 0.05; kill -9 -1) & sleep 5; kill -TERM $$; sleep 5", init=True)
    assert ended.code == 137
    ended = lab.sh("exec sh -c 'kill -SEGV $$'", init=True)
    assert ended.code == 139


def test_stdin_is_read_to_its_end(lab: Lab) -> None:
    assert lab.run("cat", stdin="hello\n").out == "hello\n"


@pytest.mark.several_ids
def test_the_environment_is_what_was_given_and_home(lab: Lab) -> None:
    out = lab.run("env", env=("PATH=/bin", "A=1", "B=x=y", "A=2")).out
    assert sorted(out.split()) == ["A=2", "B=x=y", "HOME=/root", "PATH=/bin"]
    assert "HOME=/own" in lab.run("env", env=("PATH=/bin", "HOME=/own")).out.split()
    assert "HOME=/home/node" in lab.run("env", user="node").out.split()


def test_the_working_directory_is_made_and_entered(lab: Lab) -> None:
    assert lab.run("pwd", cwd="/srv/deep/app").out == "/srv/deep/app\n"
    assert lab.left() == ["srv", "srv/deep", "srv/deep/app"]
    refused = lab.run("pwd", cwd="/etc/passwd")
    assert (refused.code, refused.error) == (125, "cannot enter the working directory /etc/passwd: not a directory")


@pytest.mark.several_ids
@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "uid=0(root) gid=0(root) groups=4(adm)"),
        ("node", "uid=1000(node) gid=1000(node) groups=4(adm),29(audio)"),
        ("1000", "uid=1000(node) gid=1000(node) groups=4(adm),29(audio)"),
        ("node:audio", "uid=1000(node) gid=29(audio)"),
        ("node:7", "uid=1000(node) gid=7"),
        ("4711", "uid=4711 gid=0(root)"),
        ("4711:1000", "uid=4711 gid=1000(node)"),
        ("odd", "uid=33(odd) gid=1000(node)"),
    ],
)
def test_users_and_groups_are_those_of_the_image(lab: Lab, user: str, expected: str) -> None:
    out = lab.run("id", user=user).out.strip()
    assert out.removesuffix(" groups=0(root)") == expected or out == expected


def test_a_user_outside_of_the_mapped_ids_is_told_what_to_do(lab: Lab) -> None:
    ended = lab.run("id", "-u", user="3000000")
    if os.geteuid() == 0:
        assert ended.out == "3000000\n"
    else:
        assert ended.error == "cannot become user 3000000:0: invalid argument"


def test_unknown_users_are_refused_in_dockers_words(lab: Lab) -> None:
    ended = lab.run("true", user="nobody-here")
    assert ended.error == "unable to find user nobody-here: no matching entries in passwd file"
    assert lab.run("true", user="0:nogroup").error == "unable to find group nogroup: no matching entries in group file"
    assert lab.run("true", user="99999999999").error == "uids and gids must be in range 0-2147483647"


@pytest.mark.parametrize(
    ("program", "code", "error"),
    [
        ("nope", 127, 'exec: "nope": executable file not found in $PATH'),
        ("/nope", 127, 'exec: "/nope": stat /nope: no such file or directory'),
        ("", 127, 'exec: "": executable file not found in $PATH'),
        ("/etc", 126, 'exec: "/etc": is a directory'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'),
        ("/etc/passwd/x", 127, 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory'),
        ("/garbage", 126, "exec /garbage: exec format error"),
        ("/lost", 127, "exec /lost: no such file or directory"),
    ],
)
def test_a_program_that_cannot_be_executed(lab: Lab, program: str, code: int, error: str) -> None:
    for name, text in (("garbage", "\x7f\x00\x01"), ("lost", "#!/no/such/shell\n")):
        (lab.base / name).write_text(text)
        (lab.base / name).chmod(0o755)
    ended = lab.run(program)
    assert (ended.code, ended.error) == (code, error)


def test_system_files_are_masked_and_protected(lab: Lab) -> None:
    ended = lab.sh(
        "wc -c </proc/keys; wc -c </proc/timer_list; ls /sys/firmware | wc -l;"
        "echo 1 >/proc/sys/kernel/hostname; echo b >/proc/sysrq-trigger; echo >/sys/kernel/x; touch /proc/bus/x; true"
    )
    assert [int(word) for word in ended.out.split()] == [0, 0, 0]
    assert ended.err.count("Read-only file system") >= 2
    assert "can't create /proc/sysrq-trigger" in ended.err


@pytest.mark.several_ids
def test_nothing_of_the_launchers_power_is_left(lab: Lab) -> None:
    status = dict(
        line.split(":\t", 1) for line in lab.run("cat", "/proc/self/status").out.splitlines() if ":\t" in line
    )
    expected = {"CapInh": 0, "CapAmb": 0, "CapPrm": 0xA80425FB, "CapEff": 0xA80425FB, "CapBnd": 0xA80425FB}
    without_nodes = {name: mask & ~(1 << 27) for name, mask in expected.items()}
    assert {name: int(status[name], 16) for name in expected} in (expected, without_nodes)
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "0")
    assert lab.run("umount", "/proc").code != 0
    assert lab.sh("mount -t tmpfs x /etc").code != 0
    node = dict(line.split(":\t", 1) for line in lab.run("cat", "/proc/self/status", user="node").out.splitlines()[:60])
    assert int(node["CapEff"], 16) == int(node["CapPrm"], 16) == 0


def test_a_device_node_made_inside_does_not_open_the_hosts_device(lab: Lab) -> None:
    ended = lab.sh("mknod /disk b 8 0 && head -c 1 </disk; mknod /mem c 1 1 && head -c 1 </mem; exit 0")
    assert ended.out == ""
    assert "not permitted" in ended.err or "denied" in ended.err


def test_limits_umask_and_hostname_are_set(lab: Lab) -> None:
    limits = (Rlimit("core", 0, 0), Rlimit("nofile", 100, 200))
    ended = lab.sh(
        "ulimit -c; ulimit -n; umask; hostname; cat /proc/self/oom_score_adj", rlimits=limits, oom_score_adj=500
    )
    assert ended.out.split() == ["0", "100", "0022", "box", "500"]


def test_dev_is_complete_and_works(lab: Lab) -> None:
    ended = lab.sh(
        "echo x >/dev/null; head -c 2 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; ls -l /dev/fd /dev/stdout;"
        "test -c /dev/full -a -c /dev/tty -a -c /dev/random -a -d /dev/shm -a -d /dev/mqueue -a -e /dev/ptmx && echo all;"
        "touch /dev/shm/x && stat -c %a /dev/shm"
    )
    assert ended.out.split()[:2] == ["2", "3"]
    assert ended.out.split()[-2:] == ["all", "1777"]


def test_only_the_three_streams_are_open(lab: Lab) -> None:
    leaks = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(40)]
    for fd in leaks:
        os.set_inheritable(fd, True)
    try:
        script = "i=0; while [ $i -lt 200 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i + 1)); done"
        assert lab.sh(script).out.split() == ["0", "1", "2"]
    finally:
        for fd in leaks:
            os.close(fd)


@pytest.mark.several_ids
def test_a_user_may_reopen_its_own_output(lab: Lab) -> None:
    read, write = os.pipe()
    spec = lab.spec("sh", "-c", "echo again >/dev/stdout", user="node")

    def work() -> dict[str, object]:
        return launch.launch(spec.to_json(), launch.Stdio(os.open("/dev/null", os.O_RDONLY), write, 2))

    assert in_child(work)["code"] == 0
    os.close(write)
    assert os.read(read, 100) == b"again\n"
    os.close(read)


def test_no_stub_is_left_in_the_layer(lab: Lab) -> None:
    files = (InlineFile("/etc/resolv.conf", "nameserver 9.9.9.9\n"), InlineFile("/etc/hosts", "127.0.0.1 localhost\n"))
    ended = lab.sh("cat /etc/resolv.conf /etc/hosts; echo x >/etc/hosts; echo y >/made", files=files)
    assert ended.out == "nameserver 9.9.9.9\n127.0.0.1 localhost\n"
    assert "Read-only" in ended.err
    assert lab.left() == ["made"]


def test_without_a_skeleton_stubs_go_and_parents_keep_their_times(lab: Lab) -> None:
    (lab.base / "opt").mkdir()
    (lab.upper / "var").mkdir()
    os.utime(lab.upper / "var", ns=(10**18, 10**18))
    os.utime(lab.upper, ns=(10**18, 10**18))
    mounts = tuple(Mount("tmpfs", "", target) for target in ("/opt/cache/deep", "/var/new", "/kept/by/me"))
    bare = attrs.evolve(lab.spec().rootfs, skeleton=None)
    assert lab.sh("touch /kept/by/mine", rootfs=bare, mounts=mounts).code == 0
    assert lab.left() == ["kept", "kept/by", "kept/by/mine", "var"]
    assert (lab.upper / "var").stat().st_mtime_ns == 10**18


def test_mounts_and_their_options(lab: Lab, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir(mode=0o777)
    source.chmod(0o777)
    (source / "file").write_text("from the host\n")
    mounts = (
        Mount("bind", str(source), "/rw"),
        Mount("bind", str(source), "/ro", ("ro",)),
        Mount("bind", str(source / "file"), "/one/file", ("ro",)),
        Mount("tmpfs", "", "/scratch", ("size=64k", "mode=700")),
    )
    ended = lab.sh(
        "cat /one/file; echo made >/rw/made; touch /ro/x; touch /one/file; stat -c %a /scratch", mounts=mounts
    )
    assert ended.out == "from the host\n700\n"
    assert ended.err.count("Read-only file system") == 2
    assert (source / "made").read_text() == "made\n"
    missing = lab.run("true", mounts=(Mount("bind", str(tmp_path / "none"), "/x"),))
    assert missing.error == f"cannot mount {tmp_path / 'none'}: no such file or directory"
    assert "is a file" in str(lab.run("true", mounts=(Mount("bind", str(source / "file"), "/bin"),)).error)
    assert "unknown tmpfs option" in str(lab.run("true", mounts=(Mount("tmpfs", "", "/x", ("bogus",)),)).error)


@pytest.mark.parametrize(
    "link", ["/../../..{outside}", "{outside}", "../../../../../../..{outside}", "/proc/self/root{outside}"]
)
def test_a_link_in_the_image_does_not_lead_a_mount_to_the_host(lab: Lab, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (lab.base / "data").symlink_to(link.format(outside=outside))
    ended = lab.sh("touch /data/inside; readlink -f /data", mounts=(Mount("tmpfs", "", "/data/deep"),))
    assert os.listdir(outside) == []
    assert ended.error is not None or ended.code == 0


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_link_in_place_of_a_system_directory_is_refused(lab: Lab, name: str) -> None:
    (lab.base / name).symlink_to("/etc")
    ended = lab.run("true")
    assert (ended.code, ended.error) == (
        125,
        f"cannot mount /{name}: the image has something else than a directory there",
    )


def test_modules_in_the_image_are_never_imported(lab: Lab) -> None:
    # Every place this interpreter looks for modules, filled with modules that leave a mark.
    mark = "import os\nos.mknod('/pwned')\n"
    for place in [each for each in sys.path if each.startswith("/")]:
        for module in ("traceback", "linecache", "pwd", "grp", "warnings", "encodings/idna", "ctypes/util", "signal"):
            file = lab.base / place.lstrip("/") / f"{module}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(mark)
    for fields in ({}, {"user": "nobody-here"}, {"cwd": "/etc/passwd"}, {"rlimits": (Rlimit("bogus", 1, 1),)}):
        lab.run("true", **fields)
        lab.run("nope", **fields)
    assert "pwned" not in lab.left()


def test_root_may_be_read_only(lab: Lab) -> None:
    rootfs = attrs.evolve(lab.spec().rootfs, readonly=True)
    assert "Read-only" in lab.run("touch", "/x", rootfs=rootfs).err
    lowers_only = Rootfs((str(lab.base),), skeleton=str(lab.path / "skeleton"))
    assert "Read-only" in lab.run("touch", "/x", rootfs=lowers_only).err


def test_a_plain_directory_can_be_the_root(lab: Lab) -> None:
    ended = lab.sh("touch /made; ls /proc/self/exe; mount | head -1", rootfs=Rootfs(upper=str(lab.base)))
    assert ended.code == 0
    assert (lab.base / "made").exists()
    assert sorted(os.listdir(lab.base)) == ["bin", "etc", "made"]


def test_three_hundred_layers_can_be_mounted(lab: Lab) -> None:
    lowers = []
    for number in range(300):
        layer = lab.path / "layers" / f"{number:026d}" / "diff"
        layer.mkdir(parents=True)
        (layer / f"file{number}").write_text("")
        lowers.append(str(layer))
    rootfs = attrs.evolve(lab.spec().rootfs, lowers=(*lowers, str(lab.base)))
    assert lab.sh("ls / | grep -c file", rootfs=rootfs).out == "300\n"


def test_a_volatile_upper_can_be_used_again(lab: Lab) -> None:
    rootfs = attrs.evolve(lab.spec().rootfs, volatile=True)
    assert lab.run("touch", "/first", rootfs=rootfs).code == 0
    assert lab.run("cat", "/first", rootfs=rootfs).code == 0


def test_the_reaper_passes_signals_on_and_collects_orphans(lab: Lab) -> None:
    script = (
        "trap 'exit 9' TERM; (sleep 0.01 &) ; (sleep 0.2; kill -TERM 1) & while :; do sleep 0.05; ps >/tmp.txt; done"
    )
    ended = lab.run("sh", "-c", script, init=True)
    assert ended.code == 9


def test_network_none_has_a_working_loopback_only(lab: Lab) -> None:
    out = lab.run("ip", "-o", "link").out
    assert [line.split(":")[1].strip() for line in out.splitlines()] == ["lo"]
    assert "UP" in out
    ids = lab.run("readlink", "/proc/self/ns/net", network="host").out.strip()
    assert ids == os.readlink("/proc/self/ns/net")


def test_the_network_hook_may_fill_in_inline_files(lab: Lab) -> None:
    spec = lab.spec(
        "cat",
        "/etc/resolv.conf",
        network="private",
        files=(InlineFile("/etc/resolv.conf", "nameserver 0.0.0.0\n# long\n"),),
    )
    out = os.open(lab.path / "out", os.O_CREAT | os.O_RDWR, 0o666)

    def attach(pid: int) -> dict[str, object]:
        assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
        return {"files": {"/etc/resolv.conf": "nameserver 10.0.2.3\n"}}

    status = in_child(lambda: launch.launch(spec.to_json(), launch.Stdio(out, out, 2), attach_network=attach))
    assert status["code"] == 0
    assert os.pread(out, 100, 0) == b"nameserver 10.0.2.3\n"
    os.close(out)


@pytest.mark.several_ids
def test_killing_the_launcher_leaves_nothing(lab: Lab) -> None:
    marker = f"sleep 97531{os.getpid() % 1000}"
    spec = lab.spec("sh", "-c", f"({marker} &); ({marker} &); {marker}", user="node")
    pid = os.fork()
    if pid == 0:
        try:
            in_child(lambda: launch.launch(spec.to_json(), launch.Stdio(0, 1, 2)))
        finally:
            os._exit(0)
    children = _until(lambda: len(_processes(marker)) >= 3 and _processes(marker))
    launcher = _parent_of_init(children)
    os.kill(launcher, signal.SIGKILL)
    _until(lambda: not _processes(marker))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_twenty_containers_leave_no_process_and_no_mount(lab: Lab) -> None:
    for _ in range(20):
        assert lab.run("true").code == 0
    assert str(lab.path) not in Path("/proc/self/mountinfo").read_text()
    assert not _processes(str(lab.path))
    assert lab.left() == []


def _processes(marker: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            if command == marker:
                found.append(int(name))
    return found


def _parent_of_init(pids: object) -> int:
    """The process outside that started the container of these processes: the first whose pid namespace is ours."""
    assert isinstance(pids, list)
    pid = pids[0]
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        levels = status[status.index("NSpid:") :].splitlines()[0].split()
        if len(levels) == 2:
            return pid
        pid = int(status[status.index("PPid:") :].splitlines()[0].split()[1])


def _until(condition: object, seconds: float = 10.0) -> object:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not come true in time")
