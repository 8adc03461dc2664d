"""Every command of both tutorials runs, in their order, and writes what the tutorials show, in form."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab import ACCOUNT, OWN, SECRET, Lab, Typing, lab

from harness import Terminal

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("tutorial.md", "tutorial.zh-CN.md")
APPLICATION = "https://github.com/docker/getting-started-todo-app"

# What `apt` and Node do in the tutorial, small enough for a test: the first leaves the second, which says what it is told.
APT = """#!/bin/sh
[ "$1" = install ] || exit 0
cat > /usr/bin/node <<'END'
#!/bin/sh
[ "$1" = -e ] && text=$2 || text=$(cat "$1")
echo "$text" | sed -e "s/^console.log(.//" -e "s/.)$//"
END
chmod 755 /usr/bin/node
"""
BASES = {
    "library/ubuntu": 'FROM busybox\nCOPY apt /usr/bin/apt\nCOPY bash /bin/bash\nCMD ["/bin/bash"]\n',
    "library/node": 'FROM busybox\nRUN echo 22 > /etc/node\nCMD ["sh"]\n',
    "docker/welcome-to-docker": 'FROM busybox\nRUN echo welcome > /index.html\nEXPOSE 80\nCMD ["sh"]\n',
}
DOCKERFILE = (
    "FROM node AS base\nWORKDIR /app\nFROM base AS final\nCOPY . .\nRUN wc -c package.json\nCMD cat package.json\n"
)


@attrs.frozen
class Block:
    """One fenced block, and the text block right after it, if there is one."""

    language: str
    text: str
    shows: str | None


def blocks(page: str) -> list[Block]:
    """The commands of a page: `bash` for this machine, `sh` for inside the container that was started before."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    every = []
    for number, (language, text) in enumerate(found):
        shows = found[number + 1][1] if number + 1 < len(found) and found[number + 1][0] == "text" else None
        if language in ("bash", "sh"):
            every.append(Block(language, text.replace("DOCKER_USERNAME", ACCOUNT), shows))
    return every


def form(line: str) -> str:
    """A line without what differs from one image and one moment to the next."""
    line = re.sub(r"sha256:[0-9a-f]{64}", "DIGEST", line)
    line = re.sub(r"\b[0-9a-f]{12}\b", "ID", line)
    return " ".join(line.split())


def check_form(block: Block, said: str) -> None:
    """Tables have the columns that are shown; other lines are there as they are shown."""
    if block.shows is None:
        return
    shown = block.shows.splitlines()
    lines = said.splitlines()
    if re.match(r"[A-Z]+ +[A-Z]", shown[0]):
        assert shown[0].split() == lines[0].split()
        assert len(lines) > 1
        # Columns begin where their headings do, so that what is shown can be read as it comes.
        starts = [match.start() for match in re.finditer(r"\S+( \S+)*", lines[0])]
        assert all(start == 0 or line[start - 1 : start] in ("", " ") for line in lines for start in starts)
        return
    assert {form(line) for line in shown} <= {form(line) for line in lines}, said


@pytest.fixture
def world(shared_terminal: Terminal, account: str | None, readable_server: Path, tmp_path: Path) -> Iterator[Lab]:
    """The lab with the tutorial's images on its mirror and the tutorial's application in a Git repository."""
    if account is not None or os.geteuid() != 0:
        pytest.skip("a network with a Docker Hub of its own needs root")
    missing = [name for name in ("docker-registry", "git", "openssl", "perl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    images = {}
    for name, text in BASES.items():
        context = tmp_path / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(text)
        for program, script in (("apt", APT), ("bash", '#!/bin/sh\nexec sh "$@"\n')):
            (context / program).write_text(script)
            (context / program).chmod(0o755)
        shared_terminal("build", "-q", "-t", f"tutorial/{name}", str(context))
        archive = subprocess.run(
            shared_terminal.words("save", "--format", "oci", f"tutorial/{name}"), env=shared_terminal._env(None),
            check=True, capture_output=True,
        )  # fmt: skip
        images[name] = archive.stdout
    folder = Path("/var/tmp") / f"orlop-tutorial-{os.getpid()}"
    with lab(folder, readable_server) as made:
        made.publish(images)
        made.serve()
        repository = folder / "application"
        repository.mkdir()
        (repository / "Dockerfile").write_text(DOCKERFILE)
        (repository / "package.json").write_text('{"name": "getting-started-todo-app"}\n')
        for words in (
            "init -q -b main",
            "add .",
            "-c user.name=x -c user.email=x@example.com commit -q -m Application",
        ):
            subprocess.run(["git", "-C", repository, *words.split()], check=True)
        made.add_remote(APPLICATION, repository)
        yield made
        made.run("orlop rm -f $(orlop ps -aq) >/dev/null 2>&1 || true; orlop system prune -af >/dev/null")


@pytest.mark.parametrize("page", PAGES)
def test_the_tutorial_works_as_it_is_written(world: Lab, page: str) -> None:
    inside: Typing | None = None
    seen: dict[str, str] = {}
    for block in blocks(page):
        command = block.text.strip()
        if block.language == "sh":
            assert inside is not None
            talk(inside, command)
        elif " -ti " in command:
            inside = world.type(command)
            inside.expect(r"[#$] ")
        elif command.startswith("orlop login"):
            login = world.type(command)
            login.expect("Password:")
            login.write(SECRET)
            assert login.finish() == 0
            assert "Login Succeeded" in login.said and SECRET not in login.said
        else:
            seen[command] = said = world.run(command)
            check_form(block, said)
            if "rm -f" in command and inside is not None:
                inside.finish()
                inside = None
    assert "docker/welcome-to-docker" in seen["orlop image ls"] and f"{ACCOUNT}/getting" in seen["orlop image ls"]
    assert seen["""orlop run node-base node -e "console.log('Hello again')\""""] == "Hello again\n"
    assert seen["orlop run sample-app"] == "Hello from an app\n"
    history = seen["orlop image history sample-app"].splitlines()
    assert [line.split()[-2:] for line in history[1:3]] == [["Add", "app"], ["Add", "node"]]
    assert re.match(r"Untagged: sample-app:latest\nDeleted: sha256:", seen["orlop rmi sample-app"])
    # What was pushed is at Docker Hub and at the registry of our own, and can be had from there.
    for name in (f"{ACCOUNT}/getting-started-todo-app", f"{OWN}/todo-app:1.0"):
        world.run(f"orlop rmi {name}")
        assert "getting-started-todo-app" in world.run(f"orlop run --rm --network none {name}")


def talk(inside: Typing, script: str) -> None:
    """Type lines at a shell in a container; each ends with the next prompt."""
    for line in script.splitlines():
        inside.write(line)
        inside.expect(re.escape(line[-20:]))
        if "console.log" in line and line.startswith("node"):
            inside.expect("Hello world!")
        elif line.startswith("node"):
            inside.expect("Hello from an app")
        inside.expect(r"[#$] ")


def test_both_tutorials_have_the_same_commands_and_pictures() -> None:
    english, chinese = ([(block.language, block.text) for block in blocks(page)] for page in PAGES)
    assert english == chinese
    assert len(english) > 25
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
        assert pictures and all((DOCS / picture).is_file() for picture in pictures)
        anchors = {
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        }
        assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
