"""`RUN --mount`: the option as written and what it comes to."""

from __future__ import annotations

import attrs
import pytest

from orlop.dockerfile import expand
from orlop.dockerfile.instructions import Run
from orlop.dockerfile.mounts import Mount, MountError
from orlop.dockerfile.parser import parse

DEFAULTS = {
    "type": "bind", "from_": None, "source": None, "target": None, "read_only": True, "id": None, "sharing": None,
    "required": False, "size": 0, "env": None, "mode": None, "uid": None, "gid": None,
}  # fmt: skip


def mount(option: str) -> Mount:
    item = parse(f"FROM a\nRUN --mount={option} x").instructions[1]
    assert isinstance(item, Run)
    return item.mounts[0]


def resolve(option: str, **env: str):
    return mount(option).resolve(lambda text: expand.expand(text, env))


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        ("target=/x", {"target": "/x"}),
        ("dst=/x", {"target": "/x"}),
        ("destination=/x", {"target": "/x"}),
        ("type=bind,src=a,target=/x,rw", {"source": "a", "target": "/x", "read_only": False}),
        ("TYPE=BIND,Target=/x", {"target": "/x"}),
        ("target=/x,from=Base", {"target": "/x", "from_": "Base"}),
        ("target=/x,readwrite=true", {"target": "/x", "read_only": False}),
        ("target=/x,rw=0", {"target": "/x"}),
        ("target=/x,ro=false", {"target": "/x", "read_only": False}),
        ("type=cache,target=/c", {"type": "cache", "target": "/c", "read_only": False}),
        ("type=cache,target=/c,ro", {"type": "cache", "target": "/c"}),
        ("type=cache,target=/c,id=i,sharing=Locked,mode=0700,uid=1,gid=2",
         {"type": "cache", "target": "/c", "read_only": False, "id": "i", "sharing": "locked", "mode": 0o700, "uid": 1,
          "gid": 2}),
        ("type=tmpfs,target=/t,size=64m", {"type": "tmpfs", "target": "/t", "size": 64 << 20, "read_only": False}),
        ("type=tmpfs,target=/t,size=1.5KiB", {"type": "tmpfs", "target": "/t", "size": 1536, "read_only": False}),
        ("type=tmpfs,target=/t,size=10", {"type": "tmpfs", "target": "/t", "size": 10, "read_only": False}),
        ("type=secret,id=s", {"type": "secret", "id": "s"}),
        ("type=secret,id=s,env=TOKEN,required", {"type": "secret", "id": "s", "env": "TOKEN", "required": True}),
        ("type=secret,target=/run/s,required=false", {"type": "secret", "target": "/run/s"}),
        ("type=secret,src=s,mode=0400", {"type": "secret", "source": "s", "mode": 0o400}),
        ("type=ssh", {"type": "ssh"}),
        ("type=ssh,id=x,required=1", {"type": "ssh", "id": "x", "required": True}),
        ("target=/$NAME/${MISSING:-y}", {"target": "/n/y"}),
        ("type=$KIND,target=/c", {"type": "cache", "target": "/c", "read_only": False}),
        ("target=/x,target=/y", {"target": "/y"}),
    ],
)  # fmt: skip
def test_mounts_resolve(option, changed):
    assert {**DEFAULTS, **changed} == attrs.asdict(resolve(option, NAME="n", KIND="cache"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("typ=tmpfs", "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)"),
        ("foobar=1", "unexpected key 'foobar' in 'foobar=1'"),
        ("type=tmp", 'unsupported mount type "tmp" (did you mean tmpfs?)'),
        ("type=x", 'unsupported mount type "x"'),
        ("target=/x,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("target=/x,required", "unexpected key 'required' for mount type 'bind'"),
        ("target=/x,foo", "invalid field 'foo' must be a key=value pair"),
        ("target=/x,mode=7", 'mode not allowed for "bind" type mounts'),
        ("type=tmpfs,target=/x,uid=7", 'uid not allowed for "tmpfs" type mounts'),
        ("type=cache,target=/x,sharing=shard", 'unsupported sharing value "shard" (did you mean shared?)'),
        ("type=cache,target=/x,sharing=x", 'unsupported sharing value "x"'),
        ("target=/x,sharing=shared", "invalid cache sharing set for bind mount"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=shared", "secret mount should not define sharing"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,src=b", "both source and id can't be set"),
        ("type=cache,target=/x,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/x,uid=-1", "invalid value -1 for uid"),
        ("type=cache,target=/x,uid=4294967296", "invalid value 4294967296 for uid"),
        ("target=/x,rw=maybe", "invalid value for rw: maybe"),
        ("type=tmpfs,target=/x,size=1x", "invalid value for size: 1x"),
        ("type=tmpfs,target=/x,size=-1", "invalid value for size: -1"),
    ],
)
def test_wrong_mounts_are_told_in_buildkits_words(option, message):
    with pytest.raises(MountError) as caught:
        resolve(option)
    assert message == str(caught.value)


def test_errors_point_at_the_field():
    with pytest.raises(MountError) as caught:
        resolve("type=tmpfs,target=/x,foo=1")
    span = caught.value.problem.span
    line = "RUN --mount=type=tmpfs,target=/x,foo=1 x"
    assert line[span.start.column : span.end.column] == "foo=1"


def test_fields_in_quotes_still_have_a_place():
    option = '"type=bind,target=/a,b"'
    item = parse("FROM a\nRUN --mount='\"target=/a,b\",foo=1' x").instructions[1]
    assert isinstance(item, Run)
    assert option != item.mounts[0].fields[0].text == "target=/a,b"
    with pytest.raises(MountError):
        item.mounts[0].resolve(str)


def test_the_stage_a_mount_comes_from_is_known_without_variables():
    assert (mount("from=Base,target=/x").from_, mount("target=/x").from_) == ("Base", None)
