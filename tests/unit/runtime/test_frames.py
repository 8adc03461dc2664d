"""Frames of the attach socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.runtime.shim import frames

FRAMES = st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=200)), max_size=20)


@given(FRAMES, st.lists(st.integers(1, 50), min_size=1))
def test_frames_survive_any_cutting(sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(frames.encode(kind, payload) for kind, payload in sent)
    decoder, got, position, turn = frames.Decoder(), [], 0, 0
    while position < len(data):
        step = cuts[turn % len(cuts)]
        got += list(decoder.feed(data[position : position + step]))
        position, turn = position + step, turn + 1
    assert got == sent


@given(st.binary(max_size=500))
def test_garbage_is_refused_or_waited_for_but_never_breaks(data: bytes) -> None:
    try:
        for _, payload in frames.Decoder().feed(data):
            assert len(payload) <= frames.LARGEST
    except frames.BadFrame:
        pass


def test_sizes_and_codes_go_round() -> None:
    ((kind, payload),) = frames.Decoder().feed(frames.resize(120, 40))
    assert (kind, frames.size_of(payload)) == (frames.RESIZE, (120, 40))
    ((kind, payload),) = frames.Decoder().feed(frames.exit_frame(-1))
    assert (kind, frames.code_of(payload)) == (frames.EXIT, -1)
    with pytest.raises(frames.BadFrame):
        frames.size_of(b"abc")
    with pytest.raises(frames.BadFrame):
        frames.code_of(b"")
