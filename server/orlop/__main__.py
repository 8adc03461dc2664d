"""Picks between the server and the terminal verbs; imports nothing that `--version` would not need."""

from __future__ import annotations

import sys


def main() -> int:
    """The console script `orlop`."""
    arguments = sys.argv[1:]
    if sys.version_info < (3, 11):  # noqa: UP036  # whoever starts it with an old one deserves a sentence
        sys.stderr.write("error: orlop needs Python 3.11 or newer, this is %d.%d\n" % sys.version_info[:2])  # noqa: UP031
        return 1
    if arguments in (["--version"], ["-v"]):
        from orlop import __version__

        sys.stdout.write(f"orlop version {__version__}\n")
        return 0
    if arguments[:1] == ["serve"]:
        from orlop.rpc.main import main as serve

        return serve()
    from orlop.cli.main import main as cli

    return cli(arguments)


if __name__ == "__main__":
    sys.exit(main())
