"""Names for containers that nobody named: a weather and a ship's part, easy to say and to type."""

from __future__ import annotations

import os
import re
from collections.abc import Container

from orlop.core import errors

_FIRST = (
    "amber", "balmy", "bold", "brave", "breezy", "bright", "brisk", "calm", "clear", "cloudy", "coastal", "cool",
    "crisp", "dewy", "drifting", "eager", "early", "fair", "foamy", "fresh", "frosty", "gentle", "glad", "golden",
    "grand", "hardy", "hazy", "jolly", "keen", "kind", "lively", "lofty", "lucky", "mellow", "merry", "mild", "misty",
    "moonlit", "nimble", "northern", "open", "pearly", "placid", "polar", "proud", "quick", "quiet", "rainy", "salty",
    "serene", "silver", "snowy", "southern", "steady", "stormy", "sunny", "swift", "tidal", "tranquil", "vivid", "warm",
    "western", "wild", "windy",
)  # fmt: skip
_SECOND = (
    "anchor", "ballast", "barge", "beacon", "binnacle", "boom", "bowline", "bowsprit", "brig", "bulwark", "buoy",
    "cabin", "canvas", "capstan", "clipper", "compass", "cutter", "davit", "deck", "dinghy", "dory", "fender", "ferry",
    "fluke", "foremast", "gaff", "galley", "gangway", "halyard", "harbor", "hatch", "hawser", "helm", "hull", "jetty",
    "jib", "kedge", "keel", "ketch", "lantern", "lugger", "mainsail", "mast", "mizzen", "mooring", "oar", "pennant",
    "pilot", "pinnace", "porthole", "prow", "quay", "rigging", "rudder", "schooner", "sextant", "shroud", "skiff",
    "sloop", "spar", "spinnaker", "tender", "tiller", "yawl",
)  # fmt: skip
_VALID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def new(taken: Container[str]) -> str:
    """A name that is not taken; with a number once the simple ones run out."""
    for attempt in range(1000):
        # Not the `random` module: its imports take longer than starting a container.
        first, second, number = (int.from_bytes(os.urandom(4), "big") for _ in range(3))
        name = f"{_FIRST[first % len(_FIRST)]}_{_SECOND[second % len(_SECOND)]}"
        if attempt >= 20:
            name += str(number % 10_000)
        if name not in taken:
            return name
    return f"container_{os.urandom(6).hex()}"


def check(name: str) -> str:
    """The name if it is a legal one (Docker's rule); raises `Invalid`."""
    if _VALID.fullmatch(name) is None:
        raise errors.Invalid(
            f"invalid container name {name}",
            hint="Use letters, digits, `_`, `.` and `-`, at least two, beginning with a letter or digit.",
        )
    return name
