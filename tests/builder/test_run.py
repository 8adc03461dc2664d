from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from building import Lab

from orlop.builder import events
from orlop.core import errors
from orlop.core.job import CancelToken, Job


def failed(lab: Lab, text: str, **options: object) -> errors.OrlopError:
    with pytest.raises(errors.OrlopError) as caught:
        lab.build(text, **options)
    return caught.value


def upper(lab: Lab, text: str) -> list[str]:
    """All paths of the top layer that a Dockerfile makes."""
    top = lab.store.layers.path(lab.build(text).image.layers[-1].id)
    return sorted(
        os.path.relpath(os.path.join(folder, name), top)
        for folder, folders, files in os.walk(top)
        for name in (*folders, *files)
    )


def test_run_sees_only_the_environment_of_the_image_and_the_args(lab: Lab) -> None:
    lab.build("FROM base\nARG A=1\nENV B=two\nRUN env | sort; hostname; pwd; umask")
    lines = lab.log().splitlines()
    assert [line for line in lines if not line.startswith(("SHLVL=", "PWD=", "OLDPWD="))] == [
        "A=1",
        "B=two",
        "HOME=/root",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "buildkitsandbox",
        "/",
        "0022",
    ]


def test_proxies_reach_the_process_and_nothing_else(lab: Lab) -> None:
    text = "FROM base\nRUN echo $HTTP_PROXY $no_proxy"
    image = lab.build(text, proxies={"HTTP_PROXY": "http://p:1"}, build_args={"no_proxy": "x"}).image
    assert lab.log() == "http://p:1 x\n"
    assert "http://p" not in str(image.config)
    lab.build(text, proxies={"HTTP_PROXY": "http://other:1"})
    assert lab.ran() == "="


def test_run_has_dockers_capabilities_and_filter(lab: Lab) -> None:
    lab.build("FROM base\nRUN grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/self/status")
    values = dict(line.split(":\t") for line in lab.log().splitlines())
    assert int(values["CapBnd"], 16) | 0xA80425FB == 0xA80425FB
    assert values["Seccomp"] == "2"
    assert values["NoNewPrivs"] == "0"


def test_run_has_an_empty_standard_input(lab: Lab) -> None:
    lab.build("FROM base\nRUN cat; echo done")
    assert lab.log() == "done\n"


def test_files_of_the_sandbox_never_reach_the_layer(lab: Lab) -> None:
    assert upper(lab, "FROM base\nRUN cat /etc/hosts /etc/resolv.conf && ls /dev/shm /proc/1 >/dev/null") == []
    assert upper(lab, "FROM base\nRUN touch /new") == ["new"]
    assert upper(lab, "FROM base\nRUN <<E\n#!/bin/sh\necho from a file\nE") == []
    assert "from a file" in lab.log()


def test_hosts_and_name_servers_are_the_sandboxs(lab: Lab) -> None:
    lab.build("FROM base\nRUN cat /etc/hosts")
    assert lab.log() == "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@pytest.mark.several_ids
@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("0", "0:0 /root"),
        ("app", "1000:1001 /home/app"),
        ("app:33", "1000:33 /home/app"),
        ("4242", "4242:0 /"),
        ("33:50", "33:50 /var/www"),
    ],
)
def test_users_are_those_of_the_image(lab: Lab, user: str, expected: str) -> None:
    lab.build(f"FROM base\nUSER {user}\nRUN echo $(id -u):$(id -g) $HOME")
    assert lab.log().strip() == expected


@pytest.mark.several_ids
def test_groups_of_the_user_come_along(lab: Lab) -> None:
    lab.build("FROM base\nUSER app\nRUN id -G")
    assert sorted(lab.log().split()) == ["1001", "50"]


@pytest.mark.several_ids
def test_users_made_by_an_earlier_step_are_known(lab: Lab) -> None:
    lab.build("FROM base\nRUN echo new:x:77:78::/home/new:/bin/sh >>/etc/passwd\nUSER new\nRUN id -u")
    assert lab.log() == "77\n"


@pytest.mark.parametrize("network", ["none", "host", "default"])
def test_networks(lab: Lab, network: str) -> None:
    lab.build(f"FROM base\nRUN --network={network} readlink /proc/self/ns/net; cut -d: -f1 /proc/net/dev | tail -n +3")
    namespace, *links = lab.log().split()
    shares_host = namespace == os.readlink("/proc/self/ns/net")
    fell_back = any("using the host's network" in note for note in lab.notes())
    assert shares_host is (network == "host" or (network == "default" and fell_back))
    if network == "none":
        assert links == ["lo"]
    if network == "default" and not fell_back:
        assert len(links) == 2


def test_output_streams_while_the_step_runs(lab: Lab) -> None:
    seen: list[tuple[float, str]] = []

    def listen(event: object) -> None:
        if isinstance(event, events.StepLog):
            seen.append((time.monotonic(), event.data))

    from building import HOST

    from orlop.builder.build import BuildRequest, BuildServices, build

    request = BuildRequest(context=lab.context, dockerfile_text="FROM base\nRUN echo one; sleep 0.5; echo two >&2")
    build(request, BuildServices(store=lab.store, workshop=lab.workshop, host=HOST), Job(listen))
    assert [text for _, text in seen] == ["one\n", "two\n"]
    assert seen[1][0] - seen[0][0] > 0.4


def test_output_may_be_any_bytes(lab: Lab) -> None:
    lab.build("FROM base\nRUN printf 'gr\\303\\274\\303'; printf '\\274n \\377\\n'")
    assert lab.log() == "grüün \ufffd\n"


# --- failures


@pytest.mark.parametrize(
    ("instruction", "message", "code"),
    [
        ("RUN exit 42", 'process "/bin/sh -c exit 42" did not complete successfully: exit code: 42', 42),
        ("RUN nothere", 'process "/bin/sh -c nothere" did not complete successfully: exit code: 127', 127),
        ('RUN ["false"]', 'process "false" did not complete successfully: exit code: 1', 1),
        ('RUN echo "a\\b"; exit 3', 'process "/bin/sh -c echo \\"a\\\\b\\"; exit 3" did not complete successfully: exit code: 3', 3),
        ('RUN ["/nothere", "x"]', 'process "/nothere x" did not complete successfully: exit code: 127: ', 127),
        ('RUN ["/etc/passwd"]', 'process "/etc/passwd" did not complete successfully: exit code: 126: ', 126),
    ],
)  # fmt: skip
def test_a_failing_process_is_told_in_dockers_words(lab: Lab, instruction: str, message: str, code: int) -> None:
    error = failed(lab, f"FROM base\nRUN true\n{instruction}")
    assert isinstance(error, errors.RunFailed)
    assert error.message.startswith(message)
    assert error.exit_code == code
    assert error.location is not None
    assert error.location.line == 2
    assert lab.ran() == "!x"


def test_the_last_lines_of_a_failed_step_are_its_detail(lab: Lab) -> None:
    error = failed(lab, "FROM base\nRUN seq 100; echo why >&2; exit 1")
    assert error.detail is not None
    lines = error.detail.splitlines()
    assert lines[-1] == "why" or "why" in lines[-3:]
    assert "100" in lines
    assert "1" not in lines


def test_a_process_that_a_signal_killed_says_which(lab: Lab) -> None:
    marker = f"2{os.getpid()}7"

    def kill() -> None:
        while not (found := processes(marker)):
            time.sleep(0.02)
        os.kill(found[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    error = failed(lab, f'FROM base\nRUN ["sleep", "{marker}"]')
    thread.join()
    assert error.message == f'process "sleep {marker}" did not complete successfully: killed by SIGKILL (9)'
    assert error.exit_code == 137


def test_an_unknown_user_is_refused(lab: Lab) -> None:
    error = failed(lab, "FROM base\nUSER nobody-here\nRUN true")
    assert isinstance(error, errors.BuildFailed)
    assert "unable to find user nobody-here: no matching entries in passwd file" in error.message


def test_an_image_without_a_shell_is_told(lab: Lab) -> None:
    lab.write({"f": ""})
    error = failed(lab, "FROM scratch\nCOPY f /\nRUN true")
    assert isinstance(error, errors.RunFailed)
    assert error.exit_code == 127
    assert error.hint is not None
    assert "/bin/sh" in error.hint


def test_a_failed_step_leaves_nothing_and_what_came_before_is_kept(lab: Lab) -> None:
    failed(lab, "FROM base\nRUN echo 1 >/a\nRUN touch /b; exit 1")
    assert [name for name in os.listdir(lab.store.root / "layers") if name.startswith(".new")] == []
    lab.build("FROM base\nRUN echo 1 >/a\nRUN true")
    assert lab.ran() == "=!"


# --- cancel


def test_cancel_is_answered_within_a_second_and_leaves_nothing(lab: Lab) -> None:
    token = CancelToken()
    marker = f"1{os.getpid()}7"
    started = threading.Event()
    caught: list[BaseException] = []

    def listen(event: object) -> None:
        if isinstance(event, events.StepLog):
            started.set()

    class Told(Job):
        def child(self, sink):  # type: ignore[no-untyped-def]
            def both(event: object) -> None:
                sink(event)
                listen(event)

            return Job(both, token)

    def work() -> None:
        try:
            lab.build(f"FROM base\nRUN echo go; touch /x; sleep {marker} & sleep {marker}", job=Told(token=token))
        except BaseException as error:  # noqa: BLE001
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(10)
    began = time.monotonic()
    token.cancel()
    thread.join(5)
    assert time.monotonic() - began < 1
    assert [type(error) for error in caught] == [errors.Cancelled]
    time.sleep(0.1)
    assert processes(marker) == []
    assert [name for name in os.listdir(lab.store.root / "layers") if name.startswith(".new")] == []
    lab.build("FROM base\nRUN true")


def processes(marker: str) -> list[int]:
    """Processes with an argument that only this test uses."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if marker in words and words[0] != "":
            found.append(int(pid))
    return found
