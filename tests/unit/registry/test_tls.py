from __future__ import annotations

import contextlib
import ssl
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from orlop.core import errors
from orlop.core.job import Job
from orlop.registry import tls
from orlop.registry.configuration import HostConfig, RegistryConfig
from orlop.registry.credentials import Memory
from orlop.registry.registries import Registries


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.crt", "-subj", "/CN=test authority", "-days", "2")  # fmt: skip
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        (folder / "extension").write_text(extension)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.crt", "-days", "2", "-extfile", "extension")  # fmt: skip
    return folder


@contextlib.contextmanager
def _registry(certificates: Path, *, mutual: bool = False) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates / "ca.crt")
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _ping(config: RegistryConfig, host: str) -> str:
    return Registries(config, Memory()).ping(host, Job()).url


def test_a_private_authority_is_trusted_when_it_is_named(certificates: Path) -> None:
    with _registry(certificates) as host:
        named = RegistryConfig(hosts={host: HostConfig(host=host, ca_files=(certificates / "ca.crt",))})
        assert _ping(named, host) == f"https://{host}/v2/"


def test_an_unknown_authority_is_refused_and_the_remedy_named(certificates: Path) -> None:
    with _registry(certificates) as host:
        other = RegistryConfig(
            hosts={host: HostConfig(host=host, ca_files=(Path("/etc/ssl/certs/ca-certificates.crt"),))}
        )
        with pytest.raises(errors.Unreachable) as caught:
            _ping(other, host)
    assert "not trusted" in caught.value.message
    assert f'[registries.hosts."{host}"]' in (caught.value.hint or "")


def test_this_machine_and_insecure_hosts_need_no_authority(certificates: Path) -> None:
    with _registry(certificates) as host:
        assert _ping(RegistryConfig(), host) == f"https://{host}/v2/"
        assert _ping(RegistryConfig(hosts={host: HostConfig(host=host, insecure=True)}), host) == f"https://{host}/v2/"


def test_certs_dirs_give_authority_and_client_certificate(certificates: Path, tmp_path: Path) -> None:
    with _registry(certificates, mutual=True) as host:
        folder = tmp_path / host
        folder.mkdir()
        (folder / "ca.crt").write_bytes((certificates / "ca.crt").read_bytes())
        config = RegistryConfig(certs_dirs=(tmp_path / "missing", tmp_path), attempts=1)
        with pytest.raises(errors.Unreachable):
            _ping(config, host)
        (folder / "me.cert").write_bytes((certificates / "client.crt").read_bytes())
        with pytest.raises(errors.Invalid) as caught:
            _ping(config, host)
        assert "me.key" in caught.value.message
        (folder / "me.key").write_bytes((certificates / "client.key").read_bytes())
        assert _ping(config, host) == f"https://{host}/v2/"


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.crt"
    bad.write_text("nonsense")
    for trust in (tls.Trust((bad,)), tls.Trust((tmp_path / "missing",)), tls.Trust((), ((bad, None),))):
        with pytest.raises(errors.Invalid) as caught:
            tls.context(trust, verify=True)
        assert str(tmp_path) in caught.value.message
