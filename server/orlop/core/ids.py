"""Numbers of users and groups as images, Dockerfiles and people write them."""

from __future__ import annotations

from orlop.core import errors

# What fits a signed number (moby/sys/user). Above, 4294967295 means "leave it as it is" to chown(2) and setresuid(2).
LARGEST = 0x7FFFFFFF


def number(text: str) -> int:
    """The value of decimal digits; one too large for any id is `LARGEST` + 1, however long it is."""
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) <= len(str(LARGEST)) else LARGEST + 1


def check(*numbers: int) -> None:
    """Raise `Invalid` in Docker's words for a number that no user or group can have."""
    if not all(0 <= each <= LARGEST for each in numbers):
        raise errors.Invalid(
            f"uids and gids must be in range 0-{LARGEST}",
            hint="Look at the user that was asked for, and at the image's /etc/passwd and /etc/group.",
        )
