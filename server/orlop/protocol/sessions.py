"""Wire types of terminals attached to containers: what a person types, sees, and reads in a log."""

from __future__ import annotations

from typing import Literal

import attrs

from orlop.protocol.common import Token


@attrs.frozen(kw_only=True)
class SessionExecParams:
    """Start another program in a running container, in a terminal of its own.

    Output streams as `SessionOutput` under `partial_result_token`, input comes by `session/input`, and the answer is
    its exit code. No `command` means a shell: `bash` where the image has it, else `sh`. Cancelling kills the program.
    """

    container: str
    command: list[str] = attrs.field(factory=list)
    env: list[str] = attrs.field(factory=list)
    working_dir: str | None = None
    user: str | None = None
    columns: int = 80
    rows: int = 24
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class SessionAttachParams:
    """Be at the terminal of a running container's own program; cancelling only leaves it.

    The last `replay` records of its log come first. The answer is the exit code.
    """

    container: str
    replay: int = 0
    columns: int = 80
    rows: int = 24
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class SessionResult:
    """The exit code; null when nobody knows it."""

    exit_code: int | None


@attrs.frozen(kw_only=True)
class ContainerLogsParams:
    """What a container wrote, the last `tail` records or all, as `SessionOutput`.

    With `follow` it goes on through all runs until the container is removed or the request cancelled;
    `SessionOpened` and `SessionEnded` tell of the runs.
    """

    container: str
    tail: int | None = None
    follow: bool = False
    timestamps: bool = False
    partial_result_token: Token | None = None


@attrs.frozen(kw_only=True)
class SessionOpened:
    """First event of a session: which container it is attached to."""

    kind: Literal["opened"] = "opened"
    id: str
    name: str


@attrs.frozen(kw_only=True)
class SessionOutput:
    """Decoded text from the container."""

    kind: Literal["output"] = "output"
    stream: Literal["stdout", "stderr"]
    text: str


@attrs.frozen(kw_only=True)
class SessionEnded:
    """The container's program ended; a log goes on with its next run."""

    kind: Literal["ended"] = "ended"
    exit_code: int


SessionEvent = SessionOpened | SessionOutput | SessionEnded


@attrs.frozen(kw_only=True)
class SessionInput:
    """Keystrokes for the session of that token; `close` ends its standard input."""

    token: Token
    data: str = ""
    close: bool = False


@attrs.frozen(kw_only=True)
class SessionResize:
    """The terminal's new size in characters."""

    token: Token
    columns: int
    rows: int


@attrs.frozen(kw_only=True)
class StreamAck:
    """The client has shown this many characters of the stream."""

    token: Token
    characters: int
