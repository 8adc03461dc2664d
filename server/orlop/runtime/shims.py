"""The way to new shims and exec helpers: a zygote process, started when first needed, that forks them."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from orlop.core import errors
from orlop.runtime import userns
from orlop.runtime.linux.channel import Channel, pair


class Shims:
    """Thread-safe; `close` ends the zygote, not what it forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: Channel | None = None
        self._pid = 0

    def request(self, message: dict[str, Any], fds: Sequence[int] = ()) -> Channel:
        """Have a process forked for `message` and return the channel to it; `fds` become its descriptors.

        Raises `Unavailable` when no process can be started.
        """
        ours, theirs = pair()
        try:
            self._send(message, [theirs.fileno(), *fds])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def close(self) -> None:
        """End the zygote."""
        with self._lock:
            self._end()

    def _send(self, message: dict[str, Any], fds: Sequence[int]) -> None:
        with self._lock:
            for attempt in range(2):
                control = self._control or self._start()
                try:
                    control.send(message, fds)
                except OSError as error:
                    self._end()
                    if attempt:
                        raise errors.from_os(error, "ask for a new container process") from error
                else:
                    return

    def _start(self) -> Channel:
        ours, theirs = pair()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            # Not our own streams: containers outlive us, and a pipe they held would never end for its reader.
            self._pid = userns.spawn("orlop.runtime.shim.zygote:main", fds=(theirs.fileno(),), stdio=(null, null, null))
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(null)
            theirs.close()
        self._control = ours
        return ours

    def _end(self) -> None:
        if self._control is None:
            return
        self._control.close()
        self._control = None
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            return
