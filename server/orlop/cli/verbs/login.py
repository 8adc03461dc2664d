"""`orlop login`: an account of a registry, tried before it is kept."""

from __future__ import annotations

import argparse
import getpass
import os
import sys

from orlop.cli import transfers
from orlop.core import errors
from orlop.core.reference import HUB
from orlop.engine.engine import Engine


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags as `docker login` has them."""
    parser.add_argument("server", nargs="?", default="", metavar="SERVER", help="registry (default: Docker Hub)")
    parser.add_argument("-u", "--username", default="", help="user name")
    parser.add_argument("-p", "--password", help="password or token; better use --password-stdin")
    parser.add_argument("--password-stdin", action="store_true", help="take the password from standard input")


def run(arguments: argparse.Namespace, engine: Engine) -> int:
    """Ask for what is missing, try it, keep it."""
    given = _given(arguments)
    registries = engine.registries
    with transfers.job_of(transfers.Notes()) as job:
        kept = registries.saved(arguments.server)
        if given is None and not arguments.username and kept:
            sys.stdout.write(f"Authenticating with existing credentials... [Username: {kept}]\n")
            sys.stdout.flush()
            try:
                registries.check_login(arguments.server, job)
            except errors.Unauthorized as error:
                sys.stderr.write(f"Login did not succeed: {error.message}\n")
            else:
                sys.stdout.write("Login Succeeded\n")
                return 0
    username = arguments.username or _asked_name(arguments.server, kept)
    secret = given if given is not None else _asked_secret()
    with transfers.job_of(transfers.Notes()) as job:
        done = registries.login(arguments.server, username, secret, job)
    if os.path.isabs(done.source):
        sys.stderr.write(
            f"WARNING! Your credentials are stored unencrypted in '{done.source}'.\n"
            "Configure a credential helper to remove this warning.\n"
        )
    sys.stdout.write("Login Succeeded\n")
    return 0


def _given(arguments: argparse.Namespace) -> str | None:
    """The password of the command line or of standard input."""
    if arguments.password is not None:
        if arguments.password_stdin:
            raise errors.Invalid(
                "--password and --password-stdin are mutually exclusive", hint="Leave one of them out."
            )
        sys.stderr.write("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
        return str(arguments.password)
    if not arguments.password_stdin:
        return None
    if not arguments.username:
        raise errors.Invalid("must provide --username with --password-stdin", hint="Say who it is with -u NAME.")
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")


def _asked_name(server: str, kept: str) -> str:
    _check_terminal()
    if not server or server == HUB:
        sys.stdout.write("Log in with your Docker ID, or an email address, and a personal access token.\n")
    sys.stdout.write(f"Username ({kept}): " if kept else "Username: ")
    sys.stdout.flush()
    name = sys.stdin.readline().strip() or kept
    if not name:
        raise errors.Invalid("username is required", hint="Type a user name, or give it with -u NAME.")
    return name


def _asked_secret() -> str:
    _check_terminal()
    try:
        secret = getpass.getpass("Password: ")
    except EOFError:
        secret = ""
    if not secret:
        raise errors.Invalid("password is required", hint="Type a password or an access token.")
    return secret


def _check_terminal() -> None:
    if not sys.stdin.isatty():
        raise errors.Invalid(
            "cannot perform an interactive login from a non TTY device",
            hint="Use -u NAME --password-stdin and send the password in.",
        )
