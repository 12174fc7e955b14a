"""The client with TLS and a token, over both transports."""

import shutil
import socket
import subprocess
import threading

import numpy as np
import pytest

from tests.conftest import random_model
from tests.serving.model_server import ModelServer
from tfwstal import client
from tfwstal.config import Config
from tfwstal.data import activitynet
from tfwstal.errors import InputError
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import connection, saved_model
from tfwstal.serving.target import ServerError, Target, read_token

TOKEN = "s3cret.token-with_signs="
VIDEO = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


def certificate(folder, names):
    """PEM files of a new key and its self-signed certificate."""
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder.mkdir()
    key, pem = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
        + ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=test"]
        + ["-addext", f"subjectAltName={names}"]
        + ["-keyout", key, "-out", pem],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return key, pem


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with TLS and a token, and the certificate to trust."""
    folder = tmp_path_factory.mktemp("tls")
    tls = certificate(folder / "tls", "IP:127.0.0.1,DNS:localhost")
    settings = LocalizationSettings(eta=(0.2, 0.4, 0.6), max_detections=40)
    path = folder / "models" / "1"
    saved_model.export(random_model(), "abc", settings, 0.64, path)
    with ModelServer(path.parent, tls=tls, token=TOKEN) as server:
        yield server, str(tls[1])


@pytest.fixture(params=["grpc", "rest"])
def transport(request):
    return request.param


def ask(server, transport, **target):
    address = server.address(transport)
    with connection.connect(address, transport, timeout=20, **target) as asked:
        return asked.localize([VIDEO])


def test_a_server_with_tls_and_a_token(served, transport):
    server, trusted = served
    (found,) = ask(server, transport, tls=True, ca_file=trusted, token=TOKEN)
    assert found
    sent = server.requests[-1]
    assert sent.model_spec.signature_name == "features"


def test_a_name_is_looked_up_and_compared(served, transport):
    server, trusted = served
    port = server.address(transport).split(":")[1]
    options = {"tls": True, "ca_file": trusted, "token": TOKEN}
    with connection.connect(f"localhost:{port}", transport, **options) as asked:
        assert asked.versions() == {1: "AVAILABLE"}


def test_a_wrong_token(served, transport):
    server, trusted = served
    for token in ("", "other"):
        with pytest.raises(ServerError, match="--token_file") as raised:
            ask(server, transport, tls=True, ca_file=trusted, token=token)
        assert raised.value.code == "UNAUTHENTICATED"
        assert "other" not in str(raised.value)


def test_a_certificate_that_is_not_trusted(served, transport, tmp_path):
    server, _ = served
    _, another = certificate(tmp_path / "another", "IP:127.0.0.1")
    for ca_file in ("", str(another)):
        with pytest.raises(ServerError, match="--ca_file") as raised:
            ask(server, transport, tls=True, ca_file=ca_file, token=TOKEN)
        assert raised.value.code == "UNAVAILABLE"
        assert TOKEN not in str(raised.value)
    assert not any(TOKEN in str(request) for request in server.requests)


def test_a_certificate_of_another_host(served, transport, tmp_path):
    key, pem = certificate(tmp_path / "other", "DNS:other.example")
    server, _ = served
    with ModelServer(server._base_path, tls=(key, pem)) as other:
        with pytest.raises(ServerError) as raised:
            ask(other, transport, tls=True, ca_file=str(pem))
    assert raised.value.code == "UNAVAILABLE"


def test_one_side_alone_has_tls(served, transport, tmp_path):
    server, trusted = served
    with pytest.raises(ServerError, match="does it need --tls") as raised:
        ask(server, transport)
    assert raised.value.code == "UNAVAILABLE"
    with ModelServer(server._base_path) as plain:
        with pytest.raises(ServerError) as raised:
            ask(plain, transport, tls=True, ca_file=trusted)
        assert raised.value.code == "UNAVAILABLE"


def test_the_deadline_holds_for_the_handshake(transport):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepted = []
        thread = threading.Thread(
            target=lambda: accepted.append(listening.accept())
        )
        thread.start()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with connection.connect(
            address, transport, timeout=0.5, tls=True
        ) as asked:
            with pytest.raises(ServerError, match="no answer within"):
                asked.versions()
        thread.join()
        accepted[0][0].close()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"token": "x"}, "--token_file needs --tls"),
        ({"ca_file": "x.pem"}, "--ca_file needs --tls"),
        ({"tls": True, "token": "a b"}, "one line of printable ASCII"),
        ({"tls": True, "token": "a\r\nHost: b"}, "one line of printable"),
        ({"tls": True, "token": "tökén"}, "one line of printable"),
    ],
)
def test_options_that_do_not_fit(wrong, message):
    with pytest.raises(InputError, match=message) as raised:
        Target("localhost:8500", **wrong)
    assert "Host: b" not in str(raised.value)


def test_a_token_is_not_shown():
    target = Target("localhost:8500", tls=True, token=TOKEN)
    assert TOKEN not in repr(target) and TOKEN not in str(target)


def test_files_that_cannot_be_used(tmp_path, transport):
    bad = tmp_path / "bad"
    for content, message in (
        (None, "No such file"),
        (b"", "--ca_file"),
        (b"not PEM", "--ca_file"),
        (b"\xff\xfe", "not a PEM file"),
    ):
        if content is not None:
            bad.write_bytes(content)
        with pytest.raises(InputError, match=message):
            with connection.connect(
                "localhost:1", transport, tls=True, ca_file=str(bad)
            ):
                pass
    for content, message in (
        (b"\n", "is empty"),
        (b"\xff", "not ASCII"),
    ):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_token(bad)
    with pytest.raises(InputError, match="No such file"):
        read_token(tmp_path / "none")
    assert read_token("") == ""


def test_the_command(served, transport, tmp_path):
    server, trusted = served
    np.save(tmp_path / "video.npy", VIDEO)
    (tmp_path / "token").write_text(TOKEN + "\n")
    client.main(
        Config(
            server=server.address(transport),
            transport=transport,
            features=(str(tmp_path / "video.npy"),),
            detections=str(tmp_path / "found.json"),
            tls=True,
            ca_file=trusted,
            token_file=str(tmp_path / "token"),
        )
    )
    found = activitynet.read_detections(tmp_path / "found.json")
    assert len(found["video"]) > 0
