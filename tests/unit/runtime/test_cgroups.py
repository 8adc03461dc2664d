"""What is written into a container's control groups, in the words of either version."""

from __future__ import annotations

from pathlib import Path

import pytest

from orlop.runtime.linux import cgroups
from orlop.runtime.spec import LimitsJson

LIMITS: LimitsJson = {
    "memory": 64 << 20, "memory_swap": 96 << 20, "memory_reservation": 32 << 20, "pids": 7, "cpus": 1.5,
    "cpu_shares": 512, "cpuset_cpus": "0-1",
}  # fmt: skip
NONE: LimitsJson = {"memory": None, "pids": None, "cpus": None}
SECOND = {
    "memory.max": (str(64 << 20), "max"), "memory.swap.max": (str(32 << 20), "max"), "memory.low": (str(32 << 20), "0"),
    "pids.max": ("7", "max"), "cpu.max": ("150000 100000", "max 100000"), "cpu.weight": ("20", "39"),
    "cpuset.cpus": ("0-1", ""),
}  # fmt: skip
FIRST = {
    "memory.limit_in_bytes": (str(64 << 20), "-1"), "memory.memsw.limit_in_bytes": (str(96 << 20), "-1"),
    "memory.soft_limit_in_bytes": (str(32 << 20), "-1"), "pids.max": ("7", "max"), "cpu.cfs_quota_us": ("150000", "-1"),
    "cpu.cfs_period_us": ("100000", "100000"), "cpu.shares": ("512", "1024"), "cpuset.cpus": ("0-1", "0-3"),
}  # fmt: skip


@pytest.mark.parametrize(("unified", "files"), [(True, SECOND), (False, FIRST)])
def test_limits_are_set_and_taken_away_in_both_versions(
    unified: bool, files: dict[str, tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The words are tried with files here, for a host has one version only; the kernel's are tried with `update`.
    monkeypatch.setattr(cgroups, "unified", lambda: unified)
    (tmp_path / "cpuset.cpus").write_text("0-3\n")
    group = tmp_path / "group"
    group.mkdir()
    paths = {cgroups.controller_of(key): str(group) for key in cgroups.KEYS}
    for column, limits in enumerate((LIMITS, NONE)):
        for name in files:
            (group / name).write_text("")
        cgroups.change(paths, limits, list(cgroups.KEYS))
        assert {name: (group / name).read_text().strip() for name in files} == {
            name: values[column] for name, values in files.items()
        }
