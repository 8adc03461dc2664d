"""Failures: turns what a registry answered, or that it did not, into an error that names cause and remedy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from orlop.core import errors
from orlop.core.reference import HUB
from orlop.registry import ratelimit, retrying
from orlop.registry.broken import Broken

_TEXT = 300


@attrs.frozen(kw_only=True)
class Asked:
    """What was wanted, for people: `action` is pull, push, delete, list, search or log in to; `subject` its object.

    `account` is the user name that was shown to the registry (empty: none) and `source` where it is kept.
    """

    action: str
    subject: str
    domain: str
    repository: str = ""
    account: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


@attrs.frozen
class Told:
    """The registry's own words: error codes and a text, both perhaps empty."""

    codes: tuple[str, ...]
    text: str


def read(body: bytes, content_type: str = "") -> Told:
    """Understand an error body: the specification's, `message`, `details`, or plain text; HTML says nothing."""
    text = body.decode("utf-8", "replace").strip()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        plain = "" if "html" in content_type.lower() or text.startswith("<") else text.partition("\n")[0]
        return Told((), _cut(plain))
    if not isinstance(data, dict):
        return Told((), "")
    entries = data.get("errors")
    if isinstance(entries, list):
        found = [entry for entry in entries if isinstance(entry, dict)]
        codes = tuple(str(entry["code"]).upper() for entry in found if entry.get("code"))
        texts = [str(entry.get("message") or entry.get("code") or "") for entry in found]
        return Told(codes, _cut("; ".join(dict.fromkeys(filter(None, texts)))))
    for key in ("message", "details", "detail", "error_description", "error"):
        if isinstance(data.get(key), str) and data[key]:
            return Told((), _cut(data[key]))
    return Told((), "")


def from_answer(status: int, headers: Mapping[str, str], body: bytes, asked: Asked) -> errors.RegistryError:
    """The error for an answer that is none of those that were hoped for."""
    told = read(body, headers.get("Content-Type", ""))
    says = told.text or None
    codes = frozenset(told.codes)
    if status == 429 or "TOOMANYREQUESTS" in codes:
        return _limited(headers, asked, says)
    if status == 401 or (status == 403 and "UNAUTHORIZED" in codes and not asked.account):
        return _unauthorized(asked, says)
    if status == 403 or "DENIED" in codes:
        return _denied(asked, says)
    if status == 404:
        return _unknown(codes, asked, says)
    if status == 405 or "UNSUPPORTED" in codes:
        return errors.RegistryError(
            f"cannot {asked}: {asked.domain} does not support it",
            hint=_unsupported_hint(asked),
            detail=says,
        )
    if status == 413:
        return errors.RegistryError(
            f"cannot {asked}: {asked.domain} does not take a piece that large",
            hint="Raise the size limit of the registry or of the proxy before it, or make the layer smaller.",
            detail=says,
        )
    if status >= 500:
        return errors.RegistryError(
            f"cannot {asked}: {asked.domain} is failing (status {status})",
            hint="Try again later; the fault lies with the registry or a proxy before it.",
            detail=says,
        )
    because = says or "no reason given"
    return errors.RegistryError(
        f"cannot {asked}: {asked.domain} answered {status}: {because}", hint="Check the name and the registry's rules."
    )


def is_web_page(status: int, headers: Mapping[str, str]) -> bool:
    """Whether somebody else than a registry answered, such as a guest network: there, all is well and HTML.

    Some registries call their own answers HTML too; these have headers that only registries send.
    """
    own = ("Docker-Content-Digest", "Docker-Distribution-Api-Version", "Docker-Upload-UUID", "OCI-Tag")
    html = headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html"
    return status == 200 and html and not any(name in headers for name in own)


def web_page(netloc: str, asked: Asked) -> errors.RegistryError:
    """The error for such an answer."""
    return errors.RegistryError(
        f"cannot {asked}: {netloc} answered with a web page, as no registry does",
        hint="Open that address in a browser: a network that wants a login may stand before the registry.",
    )


def from_broken(broken: Broken, netloc: str, asked: Asked) -> errors.Unreachable:
    """The error for a request without an answer."""
    hints = {
        "name": f"Check the spelling of {netloc}, and the network.",
        "connect": f"Check that {netloc} runs and that the network lets you reach it.",
        "proxy": "Check the proxy settings (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).",
        "tls": _trust_hint(broken.text, netloc),
        "plain": f'Set insecure = true in [registries.hosts."{netloc}"] of config.toml if it is to be used so.',
        "timeout": f"Check the network to {netloc}, and try again.",
        "dropped": f"Check the network to {netloc}, and try again.",
    }
    causes = {
        "name": f"no host {netloc} is known ({broken.text})",
        "connect": f"no connection to {netloc}: {broken.text}",
        "proxy": f"the proxy does not let through to {netloc}: {broken.text}",
        "tls": _trust_cause(broken.text, netloc),
        "plain": f"{netloc} speaks plain HTTP where HTTPS is wanted",
        "timeout": f"{netloc} does not answer: {broken.text}",
        "dropped": f"the connection to {netloc} broke: {broken.text}",
    }
    return errors.Unreachable(f"cannot {asked}: {causes[broken.kind]}", hint=hints[broken.kind])


def _limited(headers: Mapping[str, str], asked: Asked, says: str | None) -> errors.RateLimited:
    wait = retrying.retry_after(headers)
    limit = ratelimit.read(headers)
    if wait is not None:
        when = f" for {retrying.human(wait)}"
    elif limit is not None and limit.window and not limit.remaining:
        # The window slides: nothing says when exactly the next request is allowed.
        when = f", {retrying.human(limit.window)} at most"
    else:
        when = ""
    if asked.account:
        hint = f"Wait{when or ' a while'}; the limit of account {asked.account} is used up."
    else:
        hint = f"Wait{when or ' a while'}, or log in with `orlop login{_name(asked)}`: accounts have higher limits."
    return errors.RateLimited(f"cannot {asked}: {asked.domain} allows no more requests now", hint=hint, detail=says)


def _unauthorized(asked: Asked, says: str | None) -> errors.Unauthorized:
    if asked.account:
        place = f" (from {asked.source})" if asked.source else ""
        if asked.action == "log in to":
            message, hint = f"the password or token of {asked.account} is wrong", "Check user name and password."
        else:
            message = f"the registry does not accept the login of {asked.account}{place} for this"
            hint = f"Log in again with `orlop login{_name(asked)}`, or check that the repository exists."
    elif asked.domain == HUB and asked.action == "pull":
        message = "the repository does not exist, or it is private"
        hint = "Check the name; for a private repository log in with `orlop login`."
    else:
        message, hint = f"{asked.domain} wants a login", f"Log in with `orlop login{_name(asked)}`."
    return errors.Unauthorized(f"cannot {asked}: {message}", hint=hint, detail=says)


def _denied(asked: Asked, says: str | None) -> errors.Denied:
    if not asked.account:
        if asked.action == "pull":
            message = "the repository does not exist, or it is private"
        else:
            message = f"{asked.domain} allows it to nobody who is not logged in"
        hint = f"Check the name, or log in with `orlop login{_name(asked)}`."
        return errors.Denied(f"cannot {asked}: {message}", hint=hint, detail=says)
    message = f"account {asked.account} may not do this on {asked.domain}"
    namespace, _, name = asked.repository.partition("/")
    if asked.domain == HUB and asked.action == "push" and namespace == "library":
        hint = f"Tag the image as {asked.account}/{name} and push that: a name without account belongs to Docker."
    elif asked.domain == HUB and asked.action == "push" and namespace != asked.account:
        hint = f"Tag the image as {asked.account}/{name}, or log in as an account that may write to {namespace}."
    elif asked.action == "push":
        hint = "Use an account or a token that may write there, and check that the repository exists."
    else:
        hint = "Check the name, or use an account or a token that may read there."
    return errors.Denied(f"cannot {asked}: {message}", hint=hint, detail=says)


def _unknown(codes: frozenset[str], asked: Asked, says: str | None) -> errors.RegistryError:
    if "NAME_UNKNOWN" in codes:
        message = f"no repository {asked.repository or asked.subject} at {asked.domain}"
    elif codes & {"BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN"}:
        return errors.RegistryError(
            f"cannot {asked}: a part of it is missing at {asked.domain}",
            hint="Push the image again from where it was made.",
            detail=says,
        )
    elif asked.repository:
        message = f"{asked.domain} does not have it"
    else:
        message = f"{asked.domain} does not speak the registry protocol (version 2)"
    return errors.ManifestUnknown(f"cannot {asked}: {message}", hint="Check the name and the tag.", detail=says)


def _unsupported_hint(asked: Asked) -> str:
    if asked.action == "delete":
        return "Allow deletion in the settings of the registry (REGISTRY_STORAGE_DELETE_ENABLED=true)."
    return "Use the registry's own web page for this."


def _trust_cause(text: str, netloc: str) -> str:
    if _wants_ours(text):
        return f"{netloc} lets in only who shows a certificate that it knows: {text}"
    return f"the certificate of {netloc} is not trusted: {text}"


def _wants_ours(text: str) -> bool:
    """Whether the other side refused, by an alert about the certificate that we showed or did not show."""
    return "alert" in text and any(word in text for word in ("certificate", "unknown ca", "handshake failure"))


def _trust_hint(text: str, netloc: str) -> str:
    if _wants_ours(text):
        return f'Name client-cert and client-key in [registries.hosts."{netloc}"] of config.toml.'
    if "expired" in text or "not yet valid" in text:
        return "Check the clock of this machine, and the certificate of the registry."
    if "mismatch" in text.lower() or "doesn't match" in text:
        return f"Use a name that the certificate of {netloc} is for."
    return f'Name its certificate authority as ca in [registries.hosts."{netloc}"] of config.toml.'


def _name(asked: Asked) -> str:
    return "" if asked.domain == HUB else f" {asked.domain}"


def _cut(text: Any) -> str:
    """One line of printable text of bearable length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= _TEXT else f"{line[: _TEXT - 1]}…"
