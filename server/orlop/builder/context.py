"""The build context: looks up what COPY and ADD name, without what the ignore file hides, and names its content.

The directory is read in place. A directory is scanned at most once per build, and only if a source needs it. Sources
follow Go's `filepath.Match` per component; symbolic links on the way to a source, and a source that is one, are
followed inside the context only; links inside a copied directory are kept.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import attrs

from orlop.builder import globs
from orlop.core import errors
from orlop.core.job import Job
from orlop.dockerfile.ignorefile import IgnoreFile, from_patterns

_MAX_LINKS = 40
_FORMAT, _DIRECTORY, _REGULAR = 0o170000, 0o040000, 0o100000

# One entry: its path relative to the context with links resolved, and its `lstat`.
Entry = tuple[str, os.stat_result]


@attrs.frozen(slots=True)
class Match:
    """One thing that a source names.

    `path` is relative to the context (`""` for its root) with all links resolved, `name` the last component as it was
    asked for. For a directory `entries` are the paths below it, relative to it, each directory before its content.
    """

    path: str
    name: str
    status: os.stat_result
    is_dir: bool
    entries: tuple[Entry, ...] = ()

    def files(self) -> Iterator[Entry]:
        """Every regular file of the match, by its path relative to the context."""
        if not self.is_dir:
            if stat.S_ISREG(self.status.st_mode):
                yield self.path, self.status
            return
        prefix = f"{self.path}/" if self.path else ""
        for path, status in self.entries:
            if status.st_mode & _FORMAT == _REGULAR:
                yield prefix + path, status


@attrs.frozen(slots=True)
class Missing:
    """A literal source that names nothing: `path` as cleaned; `reached` is the deepest directory that exists."""

    path: str
    reached: str
    wanted: str
    hidden: str | None = None


class Context:
    """Answers for one build; not thread-safe."""

    def __init__(self, root: str, ignore: IgnoreFile | None) -> None:
        self.root = root
        self.ignore = ignore
        self._scanned: dict[str, dict[str, os.stat_result]] = {}
        self._visible: dict[str, bool] = {}

    def find(self, source: str, excludes: tuple[str, ...], job: Job) -> tuple[Match, ...] | Missing:
        """What a cleaned, relative source names: nothing for a wildcard that misses, `Missing` for a literal that does.

        Raises `Invalid` for a malformed pattern, `Unavailable` for a directory that cannot be read.
        """
        exclude = _exclusion(excludes) if excludes else None
        if not globs.has_wildcard(source):
            found = self._resolve(source)
            if isinstance(found, Missing):
                return found
            return tuple(self._match(found, posix_name(source), exclude, job))
        try:
            paths = sorted(self._expand(source))
        except globs.BadPatternError as error:
            raise errors.Invalid(f"invalid pattern {source!r}: {error}") from error
        matches: list[Match] = []
        for path in paths:
            found = self._resolve(path)
            if not isinstance(found, Missing):
                matches += self._match(found, posix_name(path), exclude, job)
        return tuple(matches)

    def names_in(self, directory: str) -> tuple[str, ...]:
        """The names a directory holds, hidden ones too; nothing when it is none."""
        try:
            return tuple(self._scan(directory))
        except errors.OrlopError:
            return ()

    def status(self, path: str) -> os.stat_result | None:
        """The `lstat` of a path in the context, None when there is nothing."""
        if not path:
            return os.stat(self.root)
        parent, _, name = path.rpartition("/")
        return self._scan(parent).get(name)

    def is_hidden(self, path: str) -> bool:
        """Whether the ignore file hides an existing path, and everything below it."""
        status = self.status(path)
        return status is None or not self._is_visible(path, status)

    def _match(self, path: str, name: str, exclude: IgnoreFile | None, job: Job) -> Iterator[Match]:
        status = self.status(path)
        assert status is not None
        if stat.S_ISDIR(status.st_mode):
            entries: list[Entry] = []
            self._walk(path, "", exclude, entries, job)
            yield Match(path, name, status, is_dir=True, entries=tuple(entries))
        elif exclude is None or not exclude.match(name, is_dir=False).ignored:
            yield Match(path, name, status, is_dir=False)

    def _walk(self, directory: str, below: str, exclude: IgnoreFile | None, out: list[Entry], job: Job) -> None:
        job.checkpoint()
        ignore = self.ignore
        path_prefix = f"{directory}/" if directory else ""
        below_prefix = f"{below}/" if below else ""
        for name, status in self._scan(directory).items():
            relative = below_prefix + name
            is_dir = status.st_mode & _FORMAT == _DIRECTORY
            if ignore is None and exclude is None and not is_dir:
                out.append((relative, status))
                continue
            path = path_prefix + name
            hidden = ignore is not None and ignore.match(path, is_dir=is_dir).ignored
            excluded = exclude is not None and exclude.match(relative, is_dir=is_dir).ignored
            if not is_dir:
                if not hidden and not excluded:
                    out.append((relative, status))
                continue
            if hidden and not (ignore is not None and ignore.may_reinclude_below(path)):
                continue
            if excluded and not (exclude is not None and exclude.may_reinclude_below(relative)):
                continue
            mark = len(out)
            out.append((relative, status))
            self._walk(path, relative, exclude, out, job)
            # A hidden directory is there only if something below it was taken back.
            if (hidden or excluded) and len(out) == mark + 1:
                out.pop()

    def _expand(self, source: str) -> Iterator[str]:
        """Paths (not resolved) that match; components without magic are taken as they are."""
        paths = [""]
        for component in source.split("/"):
            if not globs.has_wildcard(component):
                paths = [f"{path}/{component}".lstrip("/") for path in paths]
                continue
            fits = globs.matcher(component)
            found: list[str] = []
            for path in paths:
                real = self._resolve(path)
                if isinstance(real, Missing):
                    continue
                status = self.status(real)
                if status is None or not stat.S_ISDIR(status.st_mode):
                    continue
                prefix = f"{path}/" if path else ""
                found += [prefix + name for name in self._scan(real) if fits(name)]
            paths = found
        yield from paths

    def _resolve(self, source: str) -> str | Missing:
        """Follow every link inside the root; the result is a visible path, relative and without links."""
        pending = [part for part in reversed(source.split("/")) if part not in ("", ".")]
        real: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                del real[-1:]
                continue
            here = "/".join(real)
            status = self.status(here)
            if status is None or not stat.S_ISDIR(status.st_mode):
                return Missing(source, "/".join(real[:-1]), part)
            child = self._scan(here).get(part)
            path = f"{here}/{part}" if here else part
            if child is None:
                return Missing(source, here, part)
            if stat.S_ISLNK(child.st_mode):
                if self._is_ignored(path):
                    return Missing(source, here, part, hidden=path)
                links += 1
                if links > _MAX_LINKS:
                    raise errors.Invalid(f"cannot follow {source!r} in the build context: too many symbolic links")
                target = self._read_link(path)
                if target.startswith("/"):
                    real = []
                pending += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                continue
            real.append(part)
        path = "/".join(real)
        if path and self.is_hidden(path):
            return Missing(source, "/".join(real[:-1]), real[-1], hidden=path)
        return path

    def _is_ignored(self, path: str) -> bool:
        return self.ignore is not None and self.ignore.match(path, is_dir=False).ignored

    def _is_visible(self, path: str, status: os.stat_result) -> bool:
        if self.ignore is None:
            return True
        is_dir = stat.S_ISDIR(status.st_mode)
        if not self.ignore.match(path, is_dir=is_dir).ignored:
            return True
        if not is_dir or not self.ignore.may_reinclude_below(path):
            return False
        if path not in self._visible:
            children = self._scan(path)
            self._visible[path] = any(self._is_visible(f"{path}/{name}", children[name]) for name in children)
        return self._visible[path]

    def _scan(self, directory: str) -> dict[str, os.stat_result]:
        """The names of a directory, sorted, each with its `lstat`."""
        known = self._scanned.get(directory)
        if known is not None:
            return known
        found: dict[str, os.stat_result] = {}
        try:
            with os.scandir(f"{self.root}/{directory}") as entries:
                for entry in sorted(entries, key=_name):
                    try:
                        found[entry.name] = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
        except OSError as error:
            raise unreadable(directory or ".", error) from error
        self._scanned[directory] = found
        return found

    def _read_link(self, path: str) -> str:
        try:
            return os.readlink(f"{self.root}/{path}")
        except OSError as error:
            raise unreadable(path, error) from error


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _exclusion(patterns: tuple[str, ...]) -> IgnoreFile:
    exclude = from_patterns(patterns)
    if exclude.problems:
        raise errors.Invalid(exclude.problems[0].message, hint=exclude.problems[0].hint)
    return exclude


def posix_name(path: str) -> str:
    """The last component of a cleaned path."""
    return path.rpartition("/")[2]


def unreadable(path: str, error: OSError) -> errors.OrlopError:
    """What to say when a part of the context cannot be read."""
    reason = (error.strerror or str(error)).lower()
    return errors.Unavailable(
        f"cannot read {path!r} of the build context: {reason}",
        hint="Make it readable for this account, or list it in .dockerignore.",
    )
