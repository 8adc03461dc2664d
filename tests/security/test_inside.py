"""What a hostile image can try from inside, many attempts in one container: system files, mounts, power, terminals."""

from __future__ import annotations

import os
import pty
import select
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from containers import Lab, in_child

from orlop.runtime import launch
from orlop.runtime.linux import cgroups, syscalls
from orlop.runtime.spec import MASKED_PATHS, READONLY_PATHS, InlineFile, Mount

ADMIN = ("SYS_ADMIN", "CHOWN", "DAC_OVERRIDE", "SYS_CHROOT", "MKNOD")


def test_system_files_are_hidden_or_read_only(lab: Lab) -> None:
    # An image that has its own ideas of /dev, and a volume that puts a file in the place of the null device.
    (lab.base / "dev").mkdir()
    (lab.base / "dev" / "null").write_text("not the device\n")
    (lab.path / "devices").mkdir()
    (lab.path / "devices" / "null").write_text("not the device\n")
    script = f"""
        for path in {" ".join(MASKED_PATHS)}; do
            [ -d $path ] && [ -n "$(ls -A $path)" ] && echo "seen: $path"
            [ -f $path -o -c $path ] && [ -n "$(head -c 1 $path 2>&1)" ] && echo "seen: $path"
        done
        for path in {" ".join(READONLY_PATHS)}; do
            [ -d $path ] && touch $path/x 2>/dev/null && echo "written: $path"
            [ -f $path ] && (echo h >$path) 2>/dev/null && echo "written: $path"
        done
        for path in /sys/x /sys/kernel/x /sys/fs/cgroup/x; do mkdir $path 2>/dev/null && echo "made: $path"; done
        for path in /sys /sys/kernel /sys/fs/cgroup; do touch -c $path 2>/dev/null && echo "changed: $path"; done
        (echo $$ >/sys/fs/cgroup/cgroup.procs) 2>/dev/null && echo "moved to another group"
        (echo x >/proc/sys/kernel/core_pattern) 2>/dev/null && echo "core pattern written"
        grep -v '/$' /proc/self/cgroup | grep -v '^.*:.*:/$'
        [ ! -e /proc/keys ] || ls -l /proc/keys | grep -q "^c.* 1, *3 " || echo "keys are no null device"
        exit 0
    """
    for mounts in ((), (Mount("bind", str(lab.path / "devices"), "/dev"),)):
        ended = lab.sh(script, mounts=mounts)
        assert (ended.code, ended.error, ended.out) == (0, None, "")


def test_no_mount_plays_the_kernels_proc(lab: Lab) -> None:
    """With `VOLUME /proc` an image would tell the launcher itself which ids are mapped."""
    fake = lab.path / "fake"
    (fake / "self").mkdir(parents=True)
    (fake / "self" / "uid_map").write_text("0 0 1\n")
    (fake / "file").write_text("one\n")
    (lab.base / "link").symlink_to("/proc")
    for target in ("/proc", "/link", "/proc/sys", "/proc/self"):
        ended = lab.run("true", mounts=(Mount("bind", str(fake), target),))
        assert (ended.code, ended.error) == (125, f"cannot mount at {target}: it is inside /proc")
    (lab.base / "etc" / "hosts").symlink_to("/proc/self/uid_map")
    assert (
        lab.run("true", files=(InlineFile("/etc/hosts", "x"),)).error
        == "cannot mount at /etc/hosts: it is inside /proc"
    )
    assert lab.run("cat", "/proc/uptime", mounts=(Mount("bind", str(fake / "file"), "/proc/uptime"),)).out == "one\n"


@pytest.mark.parametrize("name", ["proc", "sys", "dev", "dev/pts"])
def test_system_directories_are_real_ones(lab: Lab, name: str) -> None:
    place = lab.base / name
    place.parent.mkdir(exist_ok=True)
    place.symlink_to("../../../../../../../../tmp")
    ended = lab.run("readlink", f"/{name}")
    # /dev is covered whole, so that nothing of the image's is left in it.
    assert (ended.code, ended.out) == ((1, "") if name == "dev/pts" else (125, ""))


def test_only_values_of_the_containers_own_namespaces_are_set(lab: Lab) -> None:
    before = Path("/proc/sys/vm/swappiness").read_text()
    ended = lab.sh(
        "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax",
        sysctls={"net.ipv4.ip_default_ttl": "77", "kernel.msgmax": "9000"},
    )
    assert (ended.error, ended.out) == (None, "77\n9000\n")
    for name in ("vm.swappiness", "kernel.core_pattern", "kernel.msg/../core_pattern", "net/../vm.swappiness", "fs.x"):
        assert lab.run("true", sysctls={name: "61"}).error == f"sysctl {name} is not in a separate kernel namespace"
    refused = lab.run("true", network="host", sysctls={"net.ipv4.ip_forward": "1"})
    assert "is not in a separate kernel namespace" in str(refused.error)
    assert Path("/proc/sys/vm/swappiness").read_text() == before


def test_mounts_stay_inside_even_of_one_who_may_mount(lab: Lab) -> None:
    shared = lab.path / "shared"
    shared.mkdir()
    script = (
        "mount -t tmpfs x /mnt/in && touch /mnt/in/made && mount -t tmpfs y /mnt && echo mounted; umount -l /; ls /"
    )
    (shared / "in").mkdir()
    spec = lab.spec("sh", "-c", script, capabilities=ADMIN, mounts=(Mount("bind", str(shared), "/mnt"),))

    def work() -> list[Any]:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        # What a desktop's mounts are like: whatever is mounted below shows in all that share it.
        for place in (lab.path, shared):
            syscalls.mount(str(place), str(place), None, syscalls.MS_BIND)
            syscalls.mount("none", str(place), None, 1 << 20)  # MS_SHARED
        read, write = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        status = launch.launch(spec.to_json(), launch.Stdio(null, write, null))
        os.close(write)
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        seen = sum(point.startswith(str(lab.path)) for point in points)
        with os.fdopen(read) as out:
            return [status["error"], out.read(), os.listdir(shared), os.listdir(shared / "in"), seen]

    error, out, names, inner, seen = in_child(work)
    assert (error, out.split("\n")[0]) == (None, "mounted")
    assert (names, inner, seen) == (["in"], [], 2)
    assert "upper" not in out.split()


def test_nothing_of_the_hosts_tree_is_mounted_inside(lab: Lab) -> None:
    out = lab.run("cat", "/proc/self/mountinfo").out
    points = {line.split()[4] for line in out.splitlines()}
    assert "/" in points
    assert not [point for point in points if not point.startswith(("/proc", "/sys", "/dev")) and point != "/"]
    # Nor does the description of the root tell where on the host the layers are.
    assert str(lab.path) not in out


@pytest.mark.several_ids
def test_groups_keys_and_power_of_the_launcher_are_gone(lab: Lab) -> None:
    spec = lab.spec("cat", "/proc/self/status", "/proc/keys", user="node", masked_paths=())
    out = lab.path / "out"
    out.write_text("")

    def work() -> dict[str, Any]:
        if os.geteuid() == 0:
            os.setgroups([4242])
        syscalls.join_session_keyring("of-the-host")
        fd = os.open(out, os.O_WRONLY)
        return launch.launch(spec.to_json(), launch.Stdio(os.open("/dev/null", os.O_RDWR), fd, fd))

    assert in_child(work)["error"] is None
    text = out.read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert status["Groups"].split() in (["4", "29"], ["4", "29", "1000"])
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0, 0, 0, 0]
    assert "of-the-host" not in text, "the session keyring of the launcher is possessed"
    assert "container" in text


def test_a_program_has_no_terminal_of_the_users(lab: Lab) -> None:
    spec = lab.spec("sh", "-c", "(echo stolen >/dev/tty) 2>&1; tty")
    pid, master = pty.fork()
    if pid == 0:
        code = 1
        try:
            in_child(lambda: launch.launch(spec.to_json(), launch.Stdio(os.open("/dev/null", 0), 1, 2)))
            code = 0
        finally:
            os._exit(code)
    text = b""
    while select.select([master], [], [], 30)[0]:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        text += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(master)
    assert b"can't create /dev/tty" in text
    assert b"stolen" not in text


def test_the_null_device_of_the_host_is_not_lent_to_a_container(yard: Any, until: Callable[..., Any]) -> None:
    look = ("stat", "-L", "-c", "%d:%i", "/dev/null", "/proc/self/fd/0")
    yard.start("null", f"{' '.join(look)}; echo looked; while :; do sleep 0.05; done")
    until(lambda: "looked" in yard.output("null"))
    first = yard.output("null").split()
    code, out = yard.exec("null", *look)
    assert code == 0, out
    assert len(first) == 3
    assert first[0] == first[1]
    assert out.split() == first[:2]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user makes no device nodes, nor do its layers have any")
def test_device_nodes_of_an_image_are_dead_where_nothing_limits_devices(lab: Lab) -> None:
    """As on hosts with control groups of version 2, where no list of devices stands in the way."""
    (lab.path / "volume").mkdir()
    for place in (lab.base, lab.path / "volume"):
        os.mknod(place / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    script = "head -c 1 /zero | wc -c; head -c 1 /volume/zero | wc -c; head -c 1 /dev/zero | wc -c"
    spec = lab.spec("sh", "-c", script, mounts=(Mount("bind", str(lab.path / "volume"), "/volume"),))
    out = os.open(lab.path / "out", os.O_CREAT | os.O_RDWR)

    def work() -> bool:
        # Without `launch.prepare`, which would put a list of devices around this process.
        launch.launch(
            spec.to_json(), launch.Stdio(os.open("/dev/null", os.O_RDONLY), out, os.open("/dev/null", os.O_WRONLY))
        )
        return cgroups.devices_limited()

    if in_child(work):
        pytest.skip("something outside limits devices here")
    assert os.pread(out, 100, 0).split() == [b"0", b"0", b"1"]
    os.close(out)


def test_no_core_goes_to_a_program_of_the_host(lab: Lab) -> None:
    assert lab.sh("ulimit -Hc").out == "0\n"


@pytest.mark.several_ids
def test_the_way_to_a_container_is_open_to_its_owner_alone(yard: Any) -> None:
    secret = "secret-of-the-container"  # noqa: S105
    yard.start("alone", "while :; do sleep 0.05; done", env=("PATH=/bin", f"WORD={secret}"))
    state = yard.state("alone")
    for name in ("cmdline", "environ"):
        assert secret.encode() not in Path(f"/proc/{state['shim']['pid']}/{name}").read_bytes()
    socket = Path(state["socket"])
    assert (socket.stat().st_mode & 0o777, socket.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    bundle = yard.manager.inspect("alone").bundle
    assert (bundle / "config.json").stat().st_mode & 0o077 == 0
    # Even where the modes let somebody through.
    socket.chmod(0o666)
    for parent in list(socket.parents)[:-2]:
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o055)

    def stranger() -> str:
        import socket as sockets

        os.setresuid(1234, 1234, 1234)
        with sockets.socket(sockets.AF_UNIX) as connection:
            connection.connect(str(socket))
            connection.settimeout(30)
            try:
                return repr(connection.recv(1))
            except ConnectionResetError:
                return repr(b"")

    assert in_child(stranger) == repr(b"")
