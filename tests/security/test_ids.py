"""Ids that the kernel would take for something else: -1 leaves the owner, or root, as it is."""

from __future__ import annotations

import pytest
from containers import Lab

from orlop.core import errors
from orlop.rootfs import people

LAST, TOO_LARGE = "2147483647", ("2147483648", "4294967295", "4294967296", "18446744073709551615", "9" * 5000)
REFUSED = "uids and gids must be in range 0-2147483647"


def test_no_container_runs_as_an_id_out_of_range(lab: Lab) -> None:
    passwd, group = lab.base / "etc" / "passwd", lab.base / "etc" / "group"
    for large in (TOO_LARGE[1], TOO_LARGE[-1]):
        passwd.write_text(f"wrap:x:{large}:0:::\nteam:x:1:{large}:::\nmany:x:1:1:::\n")
        group.write_text(f"wrap:x:{large}:many\n")
        for user in (large, f"0:{large}", "wrap", "team", "0:wrap", "many"):
            ended = lab.run("id", "-u", user=user)
            assert (ended.code, ended.error, ended.out) == (125, REFUSED, ""), user
        assert lab.run("id", groups=(large,)).error == REFUSED
    passwd.write_text("\n")
    group.write_text("\n")
    assert lab.run("id", "-u", user=LAST).out in (f"{LAST}\n", "")


@pytest.mark.parametrize("large", TOO_LARGE)
def test_no_file_is_given_to_an_id_out_of_range(large: str) -> None:
    files = {
        "/etc/passwd": f"wrap:x:{large}:0\nteam:x:1:{large}\n".encode(),
        "/etc/group": f"wrap:x:{large}:\n".encode(),
    }
    for owner in (large, f"0:{large}", "wrap", "team", "0:wrap"):
        with pytest.raises(errors.Invalid, match=REFUSED):
            people.resolve(lambda path, _: files[path], owner)
    assert people.resolve(lambda _, __: None, LAST)[:2] == (int(LAST), int(LAST))
