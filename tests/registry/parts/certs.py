"""A private certificate authority by `openssl`: server and client certificates for 127.0.0.1 and localhost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import attrs


@attrs.frozen
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; `.certificate` is what a client must trust."""

    def __init__(self, folder: Path, name: str = "Test Authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._own = Pair(folder / "ca.crt", folder / "ca.key")
        self.certificate = self._own.certificate
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", self._own.key, "-out", self._own.certificate, "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def server(self, name: str = "server", alternatives: str = "IP:127.0.0.1,DNS:localhost") -> Pair:
        """A server's certificate for the given subject alternative names."""
        return self._issue(name, f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth")

    def client(self, name: str = "client") -> Pair:
        """A certificate with which a client identifies itself."""
        return self._issue(name, "extendedKeyUsage=clientAuth")

    def _issue(self, name: str, extensions: str) -> Pair:
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request, config = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        config.write_text(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
            f"subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{extensions}\n"
        )
        _openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}",
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", request, "-CA", self._own.certificate, "-CAkey", self._own.key, "-CAcreateserial",
            "-days", "30", "-out", pair.certificate, "-extfile", config,
        )  # fmt: skip
        return pair


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
