"""Image verbs upon a store of their own: lists, filters, histories, sizes, removal and pruning, in Docker's words."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Terminal

DIGEST = r"sha256:[0-9a-f]{64}"


@pytest.fixture
def terminal(account: str | None, busybox_tar: Path, readable_server: Path) -> Iterator[Terminal]:
    """A fresh store with `busybox`."""
    root = Path("/var/tmp") / f"orlop-images-{os.getpid()}-{os.urandom(3).hex()}"
    root.mkdir(mode=0o755)
    if account:
        shutil.chown(root, account, account)
    fresh = Terminal(root, account, readable_server)
    fresh("import", "-", "busybox:latest", stdin=busybox_tar.read_bytes())
    yield fresh
    for name in fresh("ps", "-aq").split():
        fresh("rm", "-f", name)
    fresh("system", "prune", "-af")
    shutil.rmtree(root, ignore_errors=True)


def build(terminal: Terminal, context: Path, name: str, *lines: str) -> str:
    """Build upon busybox; the ID."""
    (context / "Dockerfile").write_text("\n".join(("FROM busybox", *lines, "")))
    return terminal("build", "-q", "-t", name, str(context)).strip()


def rows(text: str) -> list[list[str]]:
    """A table's cells, by the columns of its heading."""
    heading, *lines = text.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+( \S+)*", heading)]
    ends = [*starts[1:], None]
    return [[line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in (heading, *lines)]


def test_a_list_has_a_row_for_each_name_newest_first(terminal: Terminal, context: Path) -> None:
    identity = build(terminal, context, "mobydock/app:1", "LABEL team=a")
    terminal("tag", "mobydock/app:1", "mobydock/app:2")
    table = rows(terminal("images"))
    assert table[0] == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    short = identity.removeprefix("sha256:")[:12]
    assert [row[:3] for row in table[1:3]] == [["mobydock/app", "1", short], ["mobydock/app", "2", short]]
    assert [row[0] for row in table[1:]] == ["mobydock/app", "mobydock/app", "busybox"]
    assert terminal("images", "-q").split()[:2] == [short, short]
    assert terminal("images", "-q", "--no-trunc", "mobydock/app:1").strip() == identity
    assert rows(terminal("image", "ls", "--digests"))[1][2] == "<none>"
    assert terminal("images", "nosuch").splitlines() == ["REPOSITORY   TAG       IMAGE ID   CREATED   SIZE"]


def test_filters_keep_what_dockers_keep(terminal: Terminal, context: Path) -> None:
    build(terminal, context, "mobydock/app:1", "LABEL team=a", "RUN touch /file")
    app, base = "mobydock/app:1", "busybox:latest"
    terminal("tag", app, "mobydock/app:other")
    assert terminal("images", "--filter", "reference=*/*:other", "--format", "{{.Tag}}") == "other\n"
    terminal("rmi", "mobydock/app:other")
    cases: tuple[tuple[str, set[str]], ...] = (
        ("--filter label=team", {app}),
        ("--filter label=team=b", set()),
        ("--filter reference=mobydock/*", {app}),
        ("--filter reference=*", {base}),
        ("--filter reference=busybox --filter reference=*/*:1", {base, app}),
        ("--filter before=mobydock/app:1", {base}),
        ("--filter since=busybox", {app}),
        ("--filter dangling=true", set()),
        ("--filter dangling=false busybox", {base}),
        ("--filter until=24h", set()),
        ("*/app", {app}),
        ("mobydock/app:1", {app}),
        ("mobydock/app:2", set()),
    )
    for words, names in cases:
        shown = terminal("images", "--format", "{{.Repository}}:{{.Tag}}", *words.split())
        assert set(shown.split()) == names, words


def test_what_makes_no_sense_is_refused_and_changes_nothing(terminal: Terminal) -> None:
    for words, complaint in (
        ("images -f color=red", "invalid filter 'color'"),
        ("images -f dangling", "bad format of filter"),
        ("images -f dangling=maybe", "invalid filter 'dangling=maybe'"),
        ("images -f before=nosuch", "no such image: nosuch"),
        ("images -f reference=[", "invalid pattern"),
        ("images --format {{.Nope}}", "cannot find 'Nope'"),
        ("image prune -f --filter until=soon", "failed to parse value as time or duration"),
        ("image prune -f --filter reference=x", "invalid filter 'reference'"),
        ("image inspect nosuch", "no such image"),
        ("tag nosuch x", "no such image"),
        ("tag busybox Upper", "must be lowercase"),
        ("history nosuch", "no such image"),
        ("rmi", "the following arguments are required"),
    ):
        assert complaint in terminal(*words.split(), code=1), words
    assert terminal("images", "--format", "{{.Repository}}").split() == ["busybox"]


def test_formats_are_tables_json_and_templates(terminal: Terminal) -> None:
    row = json.loads(terminal("images", "--format", "json"))
    assert (row["Repository"], row["Tag"], row["Digest"]) == ("busybox", "latest", "<none>")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} \S+", row["CreatedAt"])
    table = terminal("images", "--format", r"table {{.ID}}\t{{.CreatedAt}}").splitlines()
    assert table[0] == "IMAGE ID       CREATED AT"
    assert table[1].startswith(f"{row['ID']}   {row['CreatedAt']}")
    assert terminal("images", "--format", "{{upper .Tag}}").strip() == "LATEST"


def test_a_history_says_what_made_each_layer(terminal: Terminal, context: Path) -> None:
    long = "echo " + "x" * 60
    identity = build(terminal, context, "app", f"RUN {long}", "RUN echo hi > /file", 'CMD ["sh"]')
    table = rows(terminal("image", "history", "app"))
    assert table[0] == ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
    assert [row[0] for row in table[1:]] == [identity.removeprefix("sha256:")[:12], *["<missing>"] * 3]
    assert [row[3] for row in table[1:4]] == ["0B", "3B", "0B"]
    assert table[1][2] == 'CMD ["sh"]'
    assert table[1][4] == "buildkit.dockerfile.v0"
    assert len(table[3][2]) == 45 and table[3][2].endswith("…")
    assert table[4][4].startswith("Imported from")
    assert f"RUN /bin/sh -c {long} # buildkit" in terminal("history", "--no-trunc", "app")
    assert terminal("history", "-q", "--no-trunc", "app").split() == [identity, *["<missing>"] * 3]
    plain = rows(terminal("history", "--human=false", "app"))
    assert plain[0][1] == "CREATED AT" and plain[2][3] == "3"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", plain[1][1])
    assert terminal("history", "--format", "{{.CreatedBy}}", "app").splitlines()[0] == 'CMD ["sh"]'


def test_inspect_gives_dockers_document_and_templates(terminal: Terminal, context: Path) -> None:
    identity = build(terminal, context, "app:1", "ENV A=b", "LABEL k=v", "RUN echo hi > /file", 'CMD ["sh"]')
    (document,) = json.loads(terminal("image", "inspect", "app:1"))
    assert document["Id"] == identity
    assert document["RepoTags"] == ["app:1"]
    assert document["Metadata"]["LastTagTime"].startswith("20")
    assert document["Size"] == sum(map(int, terminal("history", "-H=false", "--format", "{{.Size}}", "app:1").split()))
    assert len(document["RootFS"]["Layers"]) == 2
    words = ("image", "inspect", "--format")
    assert terminal(*words, "{{range .Config.Env}}{{println .}}{{end}}", "app:1").split("\n")[1] == "A=b"
    assert terminal(*words, "{{.Config.Cmd}} {{.Config.Labels.k}} {{json .Config.Volumes}}", "app:1") == "[sh] v null\n"
    both = terminal(*words, "{{.Id}}", "app:1", "busybox").split()
    assert both[0] == identity and len(both) == 2


def test_the_last_name_takes_the_image_along(terminal: Terminal, context: Path) -> None:
    identity = build(terminal, context, "app:1", "RUN echo hi > /file")
    terminal("tag", "app:1", "app:2")
    assert terminal("rmi", "app:2") == "Untagged: app:2\n"
    assert terminal("rmi", "--dry-run", "app:1").startswith(f"Untagged: app:1\nDeleted: {identity}\nWould give back ")
    assert terminal("image", "rm", "app:1") == f"Untagged: app:1\nDeleted: {identity}\n"
    assert "app" not in terminal("images")


def test_layers_that_nothing_else_has_are_told_as_deleted(terminal: Terminal, context: Path) -> None:
    identity = build(terminal, context, "app:1", "RUN echo hi > /file")
    terminal("builder", "prune", "-af")
    said = terminal("rmi", "app:1")
    assert re.fullmatch(rf"Untagged: app:1\nDeleted: {identity}\nDeleted: {DIGEST}\n", said)
    assert terminal("run", "--rm", "--network", "none", "busybox", "echo", "there") == "there\n"


def test_an_id_with_names_in_several_repositories_needs_force(terminal: Terminal) -> None:
    short = terminal("images", "-q").strip()
    terminal("tag", "busybox", "busybox:2")
    terminal("tag", "busybox", "other:1")
    assert "names in several repositories" in terminal("rmi", short, code=1)
    said = terminal("rmi", "-f", short).splitlines()
    assert said[:3] == ["Untagged: busybox:2", "Untagged: busybox:latest", "Untagged: other:1"]
    assert terminal("images", "-q") == ""


def test_removal_goes_on_after_a_name_that_is_not_there(terminal: Terminal) -> None:
    terminal("tag", "busybox", "other:1")
    said = terminal("rmi", "nosuch", "other:1", code=1)
    assert "Untagged: other:1" in said and "no such image: nosuch" in said
    assert "no such image: nosuch" in terminal("rmi", "-f", "nosuch")


def test_an_image_of_a_stopped_container_needs_force_and_of_a_running_one_stays(terminal: Terminal) -> None:
    terminal("tag", "busybox", "app:1")
    terminal("rmi", "busybox")
    terminal("run", "--name", "done", "--network", "none", "app:1", "true")
    assert "container done uses it" in terminal("rmi", "app:1", code=1)
    terminal("run", "-d", "--name", "busy", "--network", "none", "app:1", "sleep", "100")
    short = terminal("images", "-q").strip()
    assert "container busy runs from it" in terminal("rmi", "-f", short, code=1)
    assert terminal("rmi", "-f", "app:1") == "Untagged: app:1\n"
    assert rows(terminal("images"))[1][:3] == ["<none>", "<none>", short]
    terminal("rm", "-f", "busy")
    assert "Deleted: sha256:" in terminal("rmi", "-f", short)
    assert terminal("images", "-q") == ""


def test_pruning_asks_and_takes_only_nameless_images(terminal: Terminal, context: Path) -> None:
    old = build(terminal, context, "app:1", "RUN echo one > /file")
    build(terminal, context, "app:1", "RUN echo two > /file")
    assert terminal("image", "prune", stdin=b"n\n") == (
        "WARNING! This will remove all dangling images.\n"
        "Are you sure you want to continue? [y/N] Total reclaimed space: 0B\n"
    )
    planned = terminal("image", "prune", "--dry-run")
    assert planned.startswith(f"Would delete images:\ndeleted: {old}\n\nWould reclaim ")
    assert old.removeprefix("sha256:")[:12] in terminal("images", "-q")
    said = terminal("image", "prune", stdin=b"y\n")
    assert f"Deleted Images:\ndeleted: {old}\n\nTotal reclaimed space: " in said
    assert set(terminal("images", "--format", "{{.Repository}}:{{.Tag}}").split()) == {"app:1", "busybox:latest"}
    assert terminal("image", "prune", "-f") == "Total reclaimed space: 0B\n"


def test_pruning_obeys_filters_and_containers(terminal: Terminal, context: Path) -> None:
    build(terminal, context, "keep:1", "LABEL keep=yes")
    build(terminal, context, "go:1", "LABEL keep=no")
    terminal("run", "--name", "user", "--network", "none", "busybox", "true")
    assert terminal("image", "prune", "-af", "--filter", "until=1h") == "Total reclaimed space: 0B\n"
    said = terminal("image", "prune", "-af", "--filter", "label!=keep=yes")
    assert "untagged: go:1" in said and "keep:1" not in said and "busybox" not in said
    terminal("image", "prune", "-af")
    assert terminal("images", "--format", "{{.Repository}}").split() == ["busybox"]


def test_a_dry_run_of_system_prune_says_exactly_what_the_real_one_takes(terminal: Terminal, context: Path) -> None:
    build(terminal, context, "app:1", "RUN echo hi > /file")
    terminal("run", "--name", "done", "--network", "none", "busybox", "true")
    planned = terminal("system", "prune", "-a", "--dry-run")
    assert len(terminal("images", "-q").split()) == 2
    asked = terminal("system", "prune", "-a", stdin=b"n\n")
    assert "  - all stopped containers\n" in asked and asked.endswith("[y/N] ")
    done = terminal("system", "prune", "-af")
    pattern = r"(?m)^(?:un)?(?:tagged|deleted): .*$"
    assert re.findall(pattern, planned) == re.findall(pattern, done)
    amount = re.search(r"Would reclaim (.*)\n", planned)
    assert amount is not None and f"Total reclaimed space: {amount[1]}\n" in done
    assert terminal("images", "-q") == terminal("ps", "-aq") == ""
    assert terminal("system", "prune", "-af") == "Total reclaimed space: 0B\n"


def test_disk_usage_tells_shared_from_unique_bytes(terminal: Terminal, context: Path) -> None:
    build(terminal, context, "app:1", "RUN head -c 1000000 /dev/urandom > /file")
    terminal("run", "--name", "user", "--network", "none", "busybox", "true")
    table = rows(terminal("system", "df"))
    assert table[0] == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert table[1][:3] == ["Images", "2", "1"] and table[2][:3] == ["Containers", "1", "0"]
    detailed = terminal("system", "df", "-v").split("\n\n")
    images = {row[0]: row for row in rows(detailed[1])}
    assert images["busybox"][5] == images["app"][5] != "0B"
    assert images["app"][6].startswith("1.00") and images["app"][6].endswith("MB")
    assert (images["busybox"][7], images["app"][7]) == ("1", "0")
    assert rows(detailed[3])[1][6] == "user"
    assert "RUN /bin/sh -c head" in detailed[5]
    assert json.loads(terminal("system", "df", "--format", "json").splitlines()[0])["TotalCount"] == "2"
