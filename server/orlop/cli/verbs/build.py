"""`orlop build`: an image from a Dockerfile."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

from orlop.cli import progress
from orlop.core import errors, reference
from orlop.core.job import Job
from orlop.engine.builds import BuildOptions
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker build` has them."""
    parser.add_argument("context", help="folder with the files of the build, or - for a Dockerfile on standard input")
    parser.add_argument("-f", "--file", help="the Dockerfile (default: CONTEXT/Dockerfile), or - for standard input")
    parser.add_argument("-t", "--tag", action="append", default=[], help="name[:tag] of the image; may be repeated")
    parser.add_argument("--target", help="stop at this stage")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME[=VALUE]", help="value of an ARG")
    parser.add_argument("--label", action="append", default=[], metavar="NAME[=VALUE]", help="label of the image")
    parser.add_argument("--no-cache", action="store_true", help="run every step")
    parser.add_argument("--pull", action="store_true", help="ask the registry for newer base images")
    parser.add_argument(
        "--network", choices=("default", "none", "host"), default="default", help="network of RUN steps"
    )
    parser.add_argument("--progress", choices=("auto", "plain", "tty"), default="auto", help="how the build is shown")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the image's ID")
    parser.add_argument("--iidfile", help="write the image's ID into this file")
    parser.add_argument("--platform", help="only the host's own for now")
    for flag in ("--cache-from", "--cache-to", "--secret", "--ssh", "--build-context", "-o", "--output"):
        parser.add_argument(flag, action="append", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Build and show it; the exit code is that of a failed RUN, as its process gave it."""
    _refuse_unsupported(arguments)
    options = _options(arguments)
    display = progress.make("quiet" if arguments.quiet else arguments.progress, sys.stderr)
    job = Job(display)
    previous = signal.signal(signal.SIGINT, lambda *_: job.token.cancel())
    try:
        result = engine.builds.build(options, job)
    finally:
        signal.signal(signal.SIGINT, previous)
        display.close()
    if arguments.iidfile:
        _write(Path(arguments.iidfile), str(result.image.id))
    if arguments.quiet:
        sys.stdout.write(f"{result.image.id}\n")
    else:
        names = ", ".join(tag.familiar for tag in options.tags)
        sys.stderr.write(f"\nBuilt {result.image.id}{f' as {names}' if names else ''}\n")
    return 0


def _options(arguments: argparse.Namespace) -> BuildOptions:
    text: str | None = None
    dockerfile: Path | None = Path(arguments.file) if arguments.file else None
    context = Path(arguments.context)
    if arguments.file == "-" or arguments.context == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
        dockerfile = None
    return BuildOptions(
        context=None if arguments.context == "-" else context,
        dockerfile=dockerfile,
        text=text,
        tags=tuple(_tag(tag) for tag in arguments.tag),
        target=arguments.target,
        build_args=_pairs(arguments.build_arg, from_environment=True),
        labels=_pairs(arguments.label, from_environment=False),
        no_cache=arguments.no_cache,
        pull=arguments.pull,
        network=arguments.network,
        platform=arguments.platform,
    )


def _tag(text: str) -> reference.Reference:
    parsed = reference.parse(text)
    if parsed.digest is not None:
        raise errors.InvalidReference(f"cannot tag an image with a digest: {text!r}", hint="Write name[:tag].")
    return parsed.or_latest()


def _pairs(items: list[str], *, from_environment: bool) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if equals or not from_environment:
            pairs[name] = value
        elif name in os.environ:
            pairs[name] = os.environ[name]
    return pairs


def _refuse_unsupported(arguments: argparse.Namespace) -> None:
    flags: dict[str, Any] = {
        "--cache-from": arguments.cache_from, "--cache-to": arguments.cache_to, "--secret": arguments.secret,
        "--ssh": arguments.ssh, "--build-context": arguments.build_context, "--output": arguments.output,
    }  # fmt: skip
    for flag, value in flags.items():
        if value:
            raise errors.Unavailable(f"cannot build with {flag}: not supported yet", hint="Leave the flag out.")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="ascii")
    except OSError as error:
        raise errors.from_os(error, f"write {path}") from error
