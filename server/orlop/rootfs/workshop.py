"""The client of the worker process: starts it when first needed, hands it tasks from any thread."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from orlop.core import errors
from orlop.core.job import Job
from orlop.runtime import userns
from orlop.runtime.linux import leanjson
from orlop.runtime.linux.channel import Channel, pair

OnEvent = Callable[[dict[str, Any]], dict[str, Any] | None]

# Longer messages travel as a file in memory: a socket takes about twice as much at once.
_LARGE = 64 << 10
# Children that wait for a task, for a few seconds.
_MOST_IDLE = 4
# Compiled libraries that a lean interpreter does not find by itself.
_LIBRARIES = ("isal", "zstandard")


@attrs.frozen(eq=False)
class _Bench:
    """A child of the worker, by the number it is known by and our end of the conversation."""

    number: int
    channel: Channel


class Workshop:
    """One worker process, started lazily and again after it died; tasks run in children of it, side by side.

    Thread-safe. `mapping` are the ids of its user namespace.
    """

    def __init__(self, store_root: Path) -> None:
        self._root = store_root
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._pid = 0
        self._next = 0
        self._idle: list[_Bench] = []
        self.mapping = userns.for_current_user()

    def call(
        self,
        task: str,
        params: Mapping[str, Any],
        job: Job,
        *,
        fds: Sequence[int] = (),
        on_event: OnEvent | None = None,
    ) -> dict[str, Any]:
        """Run one task (`tasks.TASKS`) and return its result; its errors are raised here as they were there.

        The task gets duplicates of `fds`. `on_event` may answer an event with a message for the task. At cancel the
        task and all it started are killed, and gone when `Cancelled` is raised.
        """
        job.checkpoint()
        bench = self._assign(task, params, fds)
        release = job.token.on_cancel(lambda: self._tell({"cancel": bench.number}))
        try:
            answer = self._converse(task, bench.channel, job, on_event)
        except BaseException:
            release()
            self._kill(bench)
            raise
        release()
        if answer["stays"]:
            self._put_back(bench)
        else:
            self._put_away(bench)
        if "error" in answer:
            raise _error(task, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def remove_tree(self, path: Path) -> None:
        """Delete a tree whoever owns its files: what `Store` takes as `remove_tree`."""
        self.call("remove", {"path": str(path)}, Job())

    def close(self) -> None:
        """End the worker and whatever runs in it; a later call starts another one."""
        with self._lock:
            self._forget()

    def _converse(self, task: str, ours: Channel, job: Job, on_event: OnEvent | None) -> dict[str, Any]:
        while True:
            received = ours.receive()
            if received is None:
                job.checkpoint()
                raise errors.OrlopError(
                    f"cannot finish {task!r}: its helper process was killed",
                    hint="Try again; if it happens again, look for the out-of-memory killer in the kernel's log.",
                )
            message, fds = received
            if "large" in message:
                with open(fds[0], "rb") as file:
                    file.seek(0)
                    message = leanjson.loads(file.read())
            if "event" not in message:
                job.checkpoint()
                return message
            reply = on_event(message) if on_event is not None else None
            if reply is not None:
                with contextlib.suppress(BrokenPipeError):  # it was killed: the next receive says so
                    ours.send(reply)

    def _assign(self, task: str, params: Mapping[str, Any], fds: Sequence[int]) -> _Bench:
        """Hand the task to a child that waits for one, or to a new one."""
        text = leanjson.dumps(dict(params))
        large = _in_memory(text) if len(text) > _LARGE else None
        message = {"task": task, "params": None if large is not None else dict(params)}
        passed = [*fds, large] if large is not None else list(fds)
        try:
            while (bench := self._take()) is not None:
                try:
                    bench.channel.send(message, passed)
                except OSError:
                    self._put_away(bench)  # it has waited long enough and is gone
                else:
                    return bench
            return self._start(message, passed)
        finally:
            if large is not None:
                os.close(large)

    def _start(self, message: dict[str, Any], passed: list[int]) -> _Bench:
        ours, theirs = pair()
        try:
            with self._lock:
                self._next += 1
                number = self._next
                message = {"id": number, **message}
                try:
                    self._started().send(message, [theirs.fileno(), *passed])
                except OSError:
                    # The worker died since the last task: that task is not lost yet, a new one takes it.
                    self._forget()
                    self._started().send(message, [theirs.fileno(), *passed])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return _Bench(number, ours)

    def _take(self) -> _Bench | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _put_back(self, bench: _Bench) -> None:
        """Keep the child for the next task; it leaves by itself if none comes soon."""
        with self._lock:
            if self._channel is not None and len(self._idle) < _MOST_IDLE:
                self._idle.append(bench)
                return
        self._put_away(bench)

    def _put_away(self, bench: _Bench) -> None:
        bench.channel.close()
        self._tell({"done": bench.number})

    def _started(self) -> Channel:
        if self._channel is not None:
            return self._channel
        ours, theirs = pair()
        words = os.memfd_create("worker-stderr", os.MFD_CLOEXEC)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._pid = userns.spawn(
                "orlop.rootfs.worker:main",
                mapping=None if self.mapping.kind == "identity" else self.mapping,
                fds=(theirs.fileno(),),
                params={"libraries": _library_paths()},
                stdio=(null, words, words),
            )
            theirs.close()
            self._channel = ours
            if not self._answers():
                self._forget()
                raise _start_error(words)
        finally:
            theirs.close()
            if self._channel is None:
                ours.close()
            os.close(null)
            os.close(words)
        return ours

    def _answers(self) -> bool:
        """A worker that cannot enter its namespace ends at once; find out before the first task is lost."""
        assert self._channel is not None
        ours, theirs = pair()
        try:
            self._channel.send({"id": 0, "task": "ping", "params": {}}, [theirs.fileno()])
            theirs.close()
            alive = ours.receive() is not None
            self._channel.send({"done": 0})
        except OSError:
            return False
        finally:
            ours.close()
            theirs.close()
        return alive

    def _kill(self, bench: _Bench) -> None:
        """Kill a child and wait until it is gone: the worker then closes its end of a pipe."""
        bench.channel.close()
        read, write = os.pipe2(os.O_CLOEXEC)
        try:
            self._tell({"cancel": bench.number}, (write,))
        finally:
            os.close(write)
        os.read(read, 1)
        os.close(read)

    def _tell(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        with self._lock:
            if self._channel is not None:
                try:
                    self._channel.send(message, fds)
                except OSError:
                    self._forget()

    def _forget(self) -> None:
        channel, self._channel, pid, self._pid = self._channel, None, self._pid, 0
        for bench in self._idle:
            bench.channel.close()
        self._idle.clear()
        if channel is not None:
            channel.close()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _in_memory(text: str) -> int:
    fd = os.memfd_create("parameters", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(text.encode())
    return fd


def _library_paths() -> list[str]:
    found = (importlib.util.find_spec(name) for name in _LIBRARIES)
    folders = (os.path.dirname(os.path.dirname(spec.origin)) for spec in found if spec and spec.origin)
    return list(dict.fromkeys(folders))


def _start_error(words: int) -> errors.OrlopError:
    """What the worker said before it ended, as `userns.spawn` writes it."""
    text = os.pread(words, 1 << 16, 0)
    line = text.strip().rpartition(b"\n")[2]
    if line.startswith(b"{"):
        return _error("start", leanjson.loads(line))
    detail = text.decode("utf-8", "replace") or None
    return errors.Unavailable(
        "cannot start the helper process", hint="Run `orlop doctor` to see what this host allows.", detail=detail
    )


def _error(task: str, data: Mapping[str, Any]) -> errors.OrlopError:
    if data["kind"] == "bug":
        return errors.OrlopError(f"cannot finish {task!r}: {data['message']}", detail=data["detail"])
    kind = _by_kind(data["kind"])
    return kind(data["message"], hint=data.get("hint"), detail=data.get("detail"))


def _by_kind(kind: str) -> type[errors.OrlopError]:
    pending: list[type[errors.OrlopError]] = [errors.OrlopError]
    while pending:
        found = pending.pop()
        if found.kind == kind:
            return found
        pending.extend(found.__subclasses__())
    return errors.OrlopError
