"""The client against a server on loopback, through real sockets."""

import http.server
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.conftest import random_model, random_record
from tests.serving.model_server import ModelServer
from tests.serving.model_server_rest import outputs_to_json
from tfwstal import client, export, localize
from tfwstal.config import Config
from tfwstal.data import activitynet, record
from tfwstal.errors import InputError
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import connection, rest_transport, saved_model, selftest
from tfwstal.serving.target import ServerError, Target
from tfwstal.training import run_folder

CLASSES = ("a", "b", "Ünïcode c")
SETTINGS = LocalizationSettings(eta=(0.2, 0.4, 0.6), max_detections=40)
LENGTHS = (1, 60, 7, 33)
TRANSPORTS = ("grpc", "rest")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folder of versions: 1 and 2 with width 5, 3 with width 6."""
    base = tmp_path_factory.mktemp("models")
    for version, width in ((1, 5), (2, 5), (3, 6)):
        model = random_model(feature_dim=width, seed=version)
        saved_model.export(model, CLASSES, SETTINGS, 0.64, base / str(version))
    return base


@pytest.fixture(scope="module")
def served(models):
    with ModelServer(models, versions=[1, 2]) as server:
        yield server


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


def signatures_of(models, version):
    """Signatures of the SavedModel, loaded in this process."""
    return tf.saved_model.load(str(models / str(version))).signatures


def videos(width=5):
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=(length, width)).astype(np.float32)
        for length in LENGTHS
    ]


def plain(outputs):
    """Tensors of a signature as the client's detections, step by step."""
    found = []
    for row in range(len(outputs["num_detections"])):
        found.append([])
        for i in range(int(outputs["num_detections"][row])):
            label = outputs["labels"][row, i].numpy().decode()
            score = outputs["scores"][row, i].numpy().item()
            segment = outputs["segments"][row, i].numpy().tolist()
            found[-1].append(
                {"label": label, "score": score, "segment": segment}
            )
    return found


def test_segments_are_those_of_the_saved_model(models, served, transport):
    batch = connection.batch_of(videos())
    assert batch["features"].shape == (4, 60, 5)
    assert batch["num_snippets"].tolist() == list(LENGTHS)
    expected = plain(
        signatures_of(models, 2)["features"](
            features=tf.constant(batch["features"]),
            num_snippets=tf.constant(batch["num_snippets"]),
        )
    )
    assert min(map(len, expected)) > 0
    with connection.connect(served.address(transport), transport) as asked:
        # Equal to the bit, as protocol buffers and as decimal numbers.
        assert asked.localize(videos()) == expected


def test_activations_are_those_of_the_saved_model(models, served, transport):
    batch = connection.batch_of(videos())
    expected = signatures_of(models, 2)["activations"](
        **{name: tf.constant(value) for name, value in batch.items()}
    )
    with connection.connect(served.address(transport), transport) as asked:
        found = asked.predict("activations", batch)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value)


def test_records_go_as_bytes(models, served, transport):
    records = [record.encode(random_record(f"v{n}", n)) for n in LENGTHS]
    expected = plain(
        signatures_of(models, 2)["serving_default"](
            examples=tf.constant(records)
        )
    )
    assert min(map(len, expected)) > 0
    with connection.connect(served.address(transport), transport) as asked:
        assert asked.localize_records(records) == expected


def test_version_and_label_choose_what_answers(models, served, transport):
    video = videos()[1:2]
    address = served.address(transport)
    served.serve([1, 2], {"stable": 1})
    found = {}
    for name, chosen in {
        "none": {},
        "version": {"version": 1},
        "label": {"label": "stable"},
    }.items():
        with connection.connect(address, transport, **chosen) as asked:
            found[name] = asked.localize(video)
            assert asked.versions() == {1: "AVAILABLE", 2: "AVAILABLE"}
        spec = served.requests[-1].model_spec
        assert (spec.name, spec.signature_name) == ("tfwstal", "features")
        assert spec.version.value == chosen.get("version", 0)
        assert spec.version_label == chosen.get("label", "")
    assert found["version"] == found["label"] != found["none"]


def test_signatures_are_equal_over_both_transports(served):
    found = []
    for name in TRANSPORTS:
        with connection.connect(served.address(name), name) as asked:
            found.append(asked.signatures())
            assert asked.feature_dim() == 5
    assert found[0] == found[1]
    assert found[0]["features"]["inputs"] == {
        "features": ("DT_FLOAT", (-1, -1, 5)),
        "num_snippets": ("DT_INT32", (-1,)),
    }
    assert found[0]["features"]["outputs"]["labels"][0] == "DT_STRING"


def test_a_version_of_another_width_is_noticed(models, transport):
    with ModelServer(models, versions=[2]) as server:
        with connection.connect(server.address(transport), transport) as asked:
            assert asked.localize(videos())
            server.serve([3])
            assert asked.localize(videos(width=6))
            with pytest.raises(InputError, match="features 5 wide.* takes 6"):
                asked.localize(videos())


def test_more_than_grpcs_four_megabytes_come_back(served):
    # 15 floats a snippet: attention 3, activation 3 x 4.
    features = np.zeros((5, 16_000, 5), np.float32)
    lengths = np.full(5, 16_000, np.int32)
    inputs = {"features": features, "num_snippets": lengths}
    with connection.connect(served.grpc_address) as asked:
        found = asked.predict("activations", inputs)
    assert sum(array.nbytes for array in found.values()) > 4 * 2**20
    assert found["activation"].shape == (5, 16_000, 3, 4)


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize(
    ("chosen", "code", "message"),
    [
        ({"model": "other"}, "NOT_FOUND", "model 'other' is not served"),
        (
            {"version": 9},
            "NOT_FOUND",
            r"version 9 of model 'tfwstal' is not served; the versions are: "
            r"1 \(AVAILABLE\), 2 \(AVAILABLE\)$",
        ),
        (
            {"model": "other", "version": 9},
            "NOT_FOUND",
            "of model 'other' is not served",
        ),
        ({"label": "canary"}, "INVALID_ARGUMENT", "label: canary"),
    ],
)
def test_what_is_not_served(served, transport, chosen, code, message):
    address = served.address(transport)
    with connection.connect(address, transport, **chosen) as asked:
        with pytest.raises(ServerError, match=message) as raised:
            asked.localize(videos())
    assert raised.value.code == code
    assert "\n" not in str(raised.value)


def test_a_server_that_is_down(transport):
    address = f"127.0.0.1:{closed_port()}"
    with connection.connect(address, transport) as asked:
        with pytest.raises(ServerError, match="does not answer.*refused"):
            asked.versions()


def test_the_other_transports_port(served, transport):
    (other,) = set(TRANSPORTS) - {transport}
    with connection.connect(served.address(other), transport) as asked:
        with pytest.raises(ServerError) as raised:
            asked.versions()
    assert raised.value.code == "UNAVAILABLE"
    assert "its port for --transport" in str(raised.value)


def test_a_deadline_that_passes(models, transport):
    with ModelServer(models, versions=[2]) as server:
        with connection.connect(
            server.address(transport), transport, timeout=0.5
        ) as asked:
            asked.feature_dim()
            server.delay = 1.5
            with pytest.raises(ServerError, match="--timeout=0.5") as raised:
                asked.localize(videos())
    assert raised.value.code == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, '{"a": 1}'), (200, "[]"), (200, ""), (502, "<html>"), (404, "{}")],
)
def test_something_else_that_speaks_http(status, body):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        target = Target(f"127.0.0.1:{other.server_port}")
        with pytest.raises(ServerError, match=f"HTTP status {status}, which"):
            rest_transport.RestTransport(target).versions()
        thread.join()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
DRIPS = {
    "body": (HEAD, b" "),
    "headers": (b"HTTP/1.1 200 OK\r\nA: ", b"x"),
    "status": (b"", b"HTTP/1.1 200 OK"),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
    ),
    "until it closes": (b"HTTP/1.0 200 OK\r\n\r\n", b" "),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "nothing": (b"", b""),
}


@pytest.mark.parametrize("case", DRIPS)
def test_rest_deadline_is_that_of_the_whole_answer(case):
    # A piece every 0.1 s: each read is in time, the whole answer is not.
    first, piece = DRIPS[case]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        target = Target(f"127.0.0.1:{listening.getsockname()[1]}", timeout=0.5)
        listening.settimeout(5)

        def drip():
            stream, _ = listening.accept()
            with stream:
                stream.recv(65536)
                stream.sendall(first)
                try:
                    for i in range(300):
                        stream.sendall(piece[i % max(len(piece), 1) :][:1])
                        stopped.wait(0.1)
                        if stopped.is_set():
                            return
                except OSError:
                    pass  # the client closed the connection, as it should

        stopped = threading.Event()
        thread = threading.Thread(target=drip)
        thread.start()
        begin = time.monotonic()
        with pytest.raises(ServerError, match="no answer within") as raised:
            rest_transport.RestTransport(target).versions()
        assert time.monotonic() - begin < 2
        stopped.set()
        thread.join()
    assert raised.value.code == "DEADLINE_EXCEEDED"


def test_a_server_that_does_not_read():
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        target = Target(f"127.0.0.1:{listening.getsockname()[1]}", timeout=0.5)
        large = {"features": np.zeros((1, 3000, 500), np.float32)}
        with pytest.raises(ServerError, match="no answer within"):
            rest_transport.RestTransport(target).predict("features", large)


def test_a_message_larger_than_the_server_takes(models, transport):
    with ModelServer(models, versions=[2], max_message_bytes=10_000) as server:
        with connection.connect(server.address(transport), transport) as asked:
            assert asked.localize(videos()[:1])
            with pytest.raises(ServerError, match="too large") as raised:
                asked.localize([np.ones((3000, 5), np.float32)])
    assert raised.value.code == "RESOURCE_EXHAUSTED"


def test_more_than_a_protocol_buffer_holds(served):
    # A view of one number, so that nothing large is allocated.
    features = np.broadcast_to(np.float32(0), (1, 500_000_000, 5))
    with connection.connect(served.grpc_address) as asked:
        with pytest.raises(ServerError, match="larger than max 2 GB"):
            asked.predict("features", {"features": features})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "no video"),
        ([np.ones((4, 6), np.float32)], "features 6 wide.* takes 5"),
        ([np.ones(5, np.float32)], r"\[5\]; floats"),
        ([np.ones((4, 5), np.int32)], r"int32 \[4, 5\]; floats"),
        ([np.ones((0, 5), np.float32)], "one snippet or more"),
        ([np.full((4, 5), np.nan, np.float32)], "NaN, infinite"),
        ([np.full((4, 5), 1e300)], "too large for float32"),
        ([[[1.0, 2.0], [3.0]]], "floats .* are needed"),
        ([[[1, 2]]], "floats .* are needed"),
        (["rgb.npy"], "floats .* are needed"),
        ([np.ones((4, 0), np.float32)], "floats .* are needed"),
        ([np.ones((4, 5)), np.ones((4, 4))], "video 1 has features 4 wide"),
    ],
)
def test_bad_videos_are_not_sent(served, bad, message):
    with connection.connect(served.grpc_address) as asked:
        before = len(served.requests)
        with pytest.raises(InputError, match=message):
            asked.localize(bad)
    assert len(served.requests) == before


def test_the_servers_own_refusal_is_one_line(served, transport):
    batch = connection.batch_of(videos(width=6))
    with connection.connect(served.address(transport), transport) as asked:
        with pytest.raises(ServerError, match="refused the request") as raised:
            asked.predict("features", batch)
        assert raised.value.code == "INVALID_ARGUMENT"
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 500
        # It still answers.
        assert asked.localize(videos())


@pytest.mark.parametrize(
    "address",
    [
        "localhost",
        "localhost:",
        ":8500",
        "http://localhost:8501",
        "",
        "localhost:0",
        "localhost:65536",
        "localhost:99999",  # 16 bits would wrap around to 34463
        "localhost:-1",
        "localhost:８５００",
        "::1:8500",
        "local host:8500",
        "localhost:8500\n",
        None,
    ],
)
def test_an_address_without_host_and_port(address):
    with pytest.raises(InputError, match="HOST:PORT is needed"):
        Target(address)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"timeout": 0}, "--timeout=0"),
        ({"timeout": -1}, "--timeout=-1"),
        ({"timeout": float("inf")}, "--timeout=inf"),
        ({"timeout": float("nan")}, "--timeout=nan"),
        ({"timeout": 1e300}, "--timeout=1e"),
        ({"timeout": "5"}, "--timeout=5"),
        ({"version": 2**70}, "--model_version=1180591620717411303424: must"),
        ({"version": -1}, "--model_version=-1: must"),
        ({"version": 1e300}, "--model_version=1e"),
        ({"version": 2.5}, "--model_version=2.5: must"),
        ({"model": ""}, "--model_name is empty"),
    ],
)
def test_values_that_no_request_can_carry(wrong, message):
    with pytest.raises(InputError, match=message):
        Target("localhost:8500", **wrong)


def test_addresses_that_are_fine():
    for address in ("h:1", "10.0.0.1:65535", "[::1]:8500", "a-b.example:80"):
        assert Target(address).server == address


def test_lists_are_arrays(served, transport):
    video = videos()[2]
    with connection.connect(served.address(transport), transport) as asked:
        assert asked.localize([video.tolist()]) == asked.localize([video])
        for wrong in ([], "record", ["record"], [b"", None]):
            with pytest.raises(InputError, match="list of bytes"):
                asked.localize_records(wrong)
        with pytest.raises(InputError, match="the client knows"):
            asked.predict("classify", {})


def test_version_and_label_together():
    with pytest.raises(InputError, match="give one of the two"):
        Target("localhost:8500", version=1, label="stable")


def test_grpc_without_its_stubs(monkeypatch):
    monkeypatch.delitem(
        sys.modules, "tfwstal.serving.grpc_transport", raising=False
    )
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(InputError, match=r"'.\[serving\]'.*=rest"):
        with connection.connect("localhost:8500"):
            pass


def test_binary_strings_of_an_answer():
    # The server's rule: base64 where the output's name ends in `_bytes`.
    value = np.array([[b"\xff\x00", b""]], object)
    text = outputs_to_json({"x_bytes": tf.make_tensor_proto(value)}, False)
    content = json.loads(text)["outputs"]["x_bytes"]
    assert content == [[{"b64": "/wA="}, {"b64": ""}]]
    found = rest_transport.from_json(content)
    np.testing.assert_array_equal(found, value)


def post(server, path, body):
    """Status and JSON of a plain HTTP request, as curl would send it."""
    request = urllib.request.Request(
        f"http://{server.rest_address}{path}", json.dumps(body).encode()
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_rows_and_columns_of_json(served):
    path = "/v1/models/tfwstal:predict"
    two = [video.tolist() for video in videos()[1:2]] * 2
    _, columns = post(
        served,
        path,
        {
            "signature_name": "features",
            "inputs": {"features": two, "num_snippets": [60, 9]},
        },
    )
    _, rows = post(
        served,
        path,
        {
            "signature_name": "features",
            "instances": [
                {"features": two[0], "num_snippets": 60},
                {"features": two[1], "num_snippets": 9},
            ],
        },
    )
    for row, found in enumerate(rows["predictions"]):
        assert found == {k: v[row] for k, v in columns["outputs"].items()}
    assert "Ünïcode c" in columns["outputs"]["labels"][0]

    status, answer = post(served, path, {"signature_name": "features"})
    assert status == 400 and set(answer) == {"error"}
    status, answer = post(served, "/v1/models/x:predict", {"inputs": []})
    assert status == 404
    assert answer == {"error": "Servable not found for request: Latest(x)"}


def test_the_stubs_alone(served):
    """The model server's answers and errors to clients that use the stubs."""
    served.serve([1, 2])
    request = predict_pb2.PredictRequest(output_filter=["scores"])
    request.model_spec.name = "tfwstal"
    request.model_spec.signature_name = "features"
    batch = connection.batch_of(videos())
    for name, array in batch.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    with grpc.insecure_channel(served.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.Predict(request, timeout=60)
        assert list(answer.outputs) == ["scores"]
        assert answer.model_spec.name == "tfwstal"
        assert answer.model_spec.signature_name == "features"
        assert answer.model_spec.version.value == 2  # the version it chose

        def refusal(**changes):
            wrong = predict_pb2.PredictRequest()
            wrong.CopyFrom(request)
            for path, value in changes.items():
                if path == "signature_name":
                    wrong.model_spec.signature_name = value
                elif path == "output_filter":
                    wrong.output_filter[:] = value
                else:
                    wrong.inputs[path].CopyFrom(tf.make_tensor_proto(value))
            with pytest.raises(grpc.RpcError) as raised:
                stub.Predict(wrong, timeout=60)
            return raised.value.code().name, raised.value.details()

        code, details = refusal(signature_name="classify")
        assert code == "FAILED_PRECONDITION" and '"classify" not' in details
        code, details = refusal(output_filter=["boxes"])
        assert code == "INVALID_ARGUMENT" and details.endswith(": boxes")
        code, details = refusal(audio=np.zeros(3, np.float32))
        assert code == "INVALID_ARGUMENT" and "extra: {audio}" in details
        code, details = refusal(num_snippets=np.zeros(4, np.int64))
        assert code == "INVALID_ARGUMENT" and "expect int32" in details


@pytest.fixture(scope="module")
def run_and_server(tmp_path_factory):
    """A run, and a server of its exported model."""
    folder = tmp_path_factory.mktemp("run")
    run_folder.create(folder / "run", Config().run_flags(), CLASSES)
    run_folder.save_model(random_model(feature_dim=5), folder / "run")
    config = Config(
        run_dir=str(folder / "run"),
        export_dir=str(folder / "models"),
        eta=(0.2, 0.4, 0.6),
    )
    export.main(config)
    with ModelServer(folder / "models") as server:
        yield config, server


def test_the_command_finds_what_localize_finds(
    run_and_server, transport, tmp_path, capsys
):
    config, server = run_and_server
    features = videos()[3]
    np.save(tmp_path / "rgb.npy", features[:, :2])
    np.save(tmp_path / "flow.npy", features[:, 2:])
    paths = (str(tmp_path / "rgb.npy"), str(tmp_path / "flow.npy"))
    localize.main(
        Config(
            run_dir=config.run_dir,
            features=paths,
            eta=config.eta,
            detections=str(tmp_path / "here.json"),
        )
    )
    said = capsys.readouterr().out
    asking = Config(
        server=server.address(transport),
        transport=transport,
        features=paths,
        detections=str(tmp_path / "served.json"),
    )
    client.main(asking)
    assert capsys.readouterr().out == said  # the same table
    assert said.startswith("rgb: 33 snippets, ")
    found = activitynet.read_detections(tmp_path / "served.json")
    expected = activitynet.read_detections(tmp_path / "here.json")
    assert found == expected and len(found["rgb"]) > 0
    with pytest.raises(InputError, match="--overwrite"):
        client.main(asking)


def test_the_command_needs_a_server_and_features():
    with pytest.raises(InputError, match="--server is needed"):
        client.main(Config())
    with pytest.raises(InputError, match="--features is needed"):
        client.main(Config(server="localhost:8500"))


def test_selftest_of_a_good_server(run_and_server, transport, capsys):
    _, server = run_and_server
    client.main(
        Config(
            server=server.address(transport),
            transport=transport,
            selftest=True,
        )
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("ok      ") for line in lines)
    assert "1 AVAILABLE" in lines[0] and "5 wide" in lines[1]


class Tampered:
    """A transport that simulates a faulty server."""

    def __init__(self, transport, predict):
        self._transport, self._predict = transport, predict

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def predict(self, signature, inputs):
        return self._predict(self._transport.predict, signature, inputs)


def ascending(predict, signature, inputs):
    found = predict(signature, inputs)
    if "scores" in found:
        found["scores"] = -found["scores"]
    return found


def unmasked(predict, signature, inputs):
    """Counts padding as snippets."""
    length = inputs["features"].shape[1]
    every = np.full(len(inputs["features"]), length, np.int32)
    return predict(signature, {**inputs, "num_snippets": every})


def indulgent(predict, signature, inputs):
    """Truncates features that are too wide."""
    if inputs["features"].ndim == 3:
        inputs = {**inputs, "features": inputs["features"][:, :, :5]}
    return predict(signature, inputs)


def blaming_itself(predict, signature, inputs):
    try:
        return predict(signature, inputs)
    except ServerError as error:
        raise ServerError("INTERNAL", str(error)) from None


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (ascending, "FAILED  each video alone: "),
        (unmasked, "FAILED  segments of a batch as alone: "),
        (unmasked, "FAILED  activations of a batch as alone: differ by "),
        (indulgent, "refused: features too wide were answered"),
        (blaming_itself, "refused: too wide: INTERNAL"),
    ],
)
def test_selftest_of_a_bad_server(run_and_server, fault, message, capsys):
    _, server = run_and_server
    with connection.connect(server.grpc_address) as asked:
        with pytest.raises(InputError, match="of 6 checks failed"):
            asked._transport = Tampered(asked._transport, fault)
            selftest.run(asked)
    assert message in capsys.readouterr().out


def test_selftest_needs_the_signatures_and_a_version(run_and_server):
    _, server = run_and_server
    with connection.connect(server.grpc_address) as asked:
        lacking = asked.signatures()
        del lacking["activations"]
        asked._transport = Tampered(asked._transport, None)
        asked._transport.signatures = lambda: lacking
        with pytest.raises(InputError, match="'activations' differs"):
            selftest.run(asked)
        asked._transport.versions = lambda: {1: "LOADING"}
        with pytest.raises(InputError, match="available: 1 LOADING"):
            selftest.run(asked)


def test_the_command_line(run_and_server, run_command):
    _, server = run_and_server
    found = run_command(
        "tfwstal.client", f"--server={server.grpc_address}", "--selftest"
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.count("ok ") == 6


def test_the_command_line_says_one_line(run_command):
    found = run_command(
        "tfwstal.client", f"--server=127.0.0.1:{closed_port()}", "--selftest"
    )
    assert found.returncode == 1 and found.stdout == ""
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: --server=127.0.0.1:")
    assert "does not answer" in line
