"""deploy/ and docs/serving.md agree, and their commands work."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.conftest import ROOT, random_model, random_record
from tests.serving.model_server import ModelServer
from tfwstal.config import Config
from tfwstal.data import record
from tfwstal.method.options import LocalizationSettings
from tfwstal.serving import answers, connection, saved_model

DEPLOY = ROOT / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
SERVER_FLAGS = {  # of tensorflow_serving/model_servers/main.cc
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "allow_version_labels_for_unavailable_models",
    "monitoring_config_file",
    "rest_api_timeout_in_ms",
    "enable_batching",
    "batching_parameters_file",
}


def message_class(name, fields):
    """A protobuf message class that no installed package has.

    Args:
        name: of the message.
        fields: dict from field to "bool", "int64", "string", "repeated int64"
            or a message of wrappers.proto; numbered in order.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    declared = file.message_type.add(name=name)
    for number, (field, kind) in enumerate(fields.items(), 1):
        label, _, kind = kind.rpartition(" ")
        each = declared.field.add(name=field, number=number)
        each.label = each.LABEL_REPEATED if label else each.LABEL_OPTIONAL
        if kind[0].isupper():
            each.type = each.TYPE_MESSAGE
            each.type_name = f".google.protobuf.{kind}"
        else:
            each.type = getattr(each, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def batching_parameters():
    # servables/tensorflow/session_bundle_config.proto
    parameters = message_class(
        "BatchingParameters",
        {
            "max_batch_size": "Int64Value",
            "batch_timeout_micros": "Int64Value",
            "max_enqueued_batches": "Int64Value",
            "num_batch_threads": "Int64Value",
            "thread_pool_name": "StringValue",
            "allowed_batch_sizes": "repeated int64",
            "pad_variable_length_inputs": "bool",
        },
    )
    text = (DEPLOY / "batching.config").read_text()
    return text_format.Parse(text, parameters())


def compose(name):
    content = yaml.safe_load((DEPLOY / name).read_text())
    return content["services"]["serving"]


def flags_of(service):
    return dict(
        argument.removeprefix("--").split("=", 1)
        for argument in service["command"]
    )


def test_the_served_model_is_the_one_that_the_client_asks_for():
    found = text_format.Parse(
        (DEPLOY / "models.config").read_text(),
        model_server_config_pb2.ModelServerConfig(),
    )
    (model,) = found.model_config_list.config
    assert model.name == Config().model_name
    assert model.model_platform == "tensorflow"
    (mount,) = [
        volume
        for volume in compose("docker-compose.yml")["volumes"]
        if volume.endswith(":/models:ro")
    ]
    assert mount and model.base_path == f"/models/{model.name}"


def test_the_batching_parameters_are_consistent_and_explained():
    found = batching_parameters()
    size = found.max_batch_size.value
    assert found.pad_variable_length_inputs
    allowed = list(found.allowed_batch_sizes)
    assert allowed == sorted(set(allowed))
    assert not allowed or allowed[-1] == size
    for field, value in found.ListFields():
        value = getattr(value, "value", value)
        text = str(value).lower() if value is True else str(value)
        assert f"| `{field.name}` | {text} |" in README
    queued = found.max_enqueued_batches.value * size
    assert f"at most {queued} videos wait" in README
    # The input of a batch of 8 videos of 3 000 snippets, in the same table.
    assert f"are {size * 3000 * 2048 * 4 / 1e6:.0f} MB of input" in README


def test_the_metrics_are_where_prometheus_looks():
    # config/monitoring_config.proto; only its nested message is parsed.
    config = message_class(
        "PrometheusConfig", {"enable": "bool", "path": "string"}
    )
    text = (DEPLOY / "monitoring.config").read_text()
    (inner,) = re.findall(r"prometheus_config \{(.*)\}", text, re.DOTALL)
    found = text_format.Parse(inner, config())
    assert found.enable
    (scraping,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (job,) = yaml.safe_load(scraping)["scrape_configs"]
    assert job["metrics_path"] == found.path


@pytest.mark.parametrize(
    "name", ["docker-compose.yml", "docker-compose.batching.yml"]
)
def test_the_server_is_started_with_files_that_are_there(name):
    found = flags_of(compose(name))
    assert set(found) <= SERVER_FLAGS
    for flag, value in found.items():
        if flag.endswith("_file"):
            folder, file = value.rsplit("/", 1)
            assert folder == "/config" and (DEPLOY / file).is_file()
    # The server refuses one without the other.
    batching = {"enable_batching", "batching_parameters_file"} & set(found)
    assert len(batching) in (0, 2)


def test_additional_compose_files_only_add():
    plain, gpu, batching = (
        compose(f"docker-compose{name}.yml")
        for name in ("", ".gpu", ".batching")
    )
    # A list of arguments replaces the former one, so it must repeat it.
    assert flags_of(plain).items() < flags_of(batching).items()
    assert set(batching) == {"command"}
    assert gpu["image"] == f"{plain['image']}-gpu"
    assert {"command", "volumes", "ports"}.isdisjoint(gpu)


def test_ports_are_closed_to_the_network_by_default():
    ports = compose("docker-compose.yml")["ports"]
    assert len(ports) == 2  # gRPC and REST
    for port in ports:
        assert port.startswith("${BIND:-127.0.0.1}:")


def test_the_examples_of_the_page_parse():
    blocks = re.findall(r"```proto\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1
    for block in blocks:
        found = text_format.Parse(
            block, model_server_config_pb2.ModelServerConfig()
        )
        for model in found.model_config_list.config:
            versions = set(model.model_version_policy.specific.versions)
            assert set(model.version_labels.values()) == versions


def test_every_flag_of_the_client_on_the_page_exists():
    commands = re.findall(
        r"python -m tfwstal\.(?:client|export) ([^`\n]*)", README + PAGE
    )
    assert len(commands) >= 7
    flags = re.findall(r"--([a-z_]+)", " ".join(commands))
    # All flags on the page except the model server's and Docker's.
    flags += re.findall(r"`--([a-z_]+)`", PAGE)
    assert {"selftest", "ca_file"} < set(flags)
    assert [flag for flag in flags if not hasattr(Config, flag)] == []


def test_the_signatures_of_the_page_are_those_that_are_checked():
    for name, outputs in answers.OUTPUTS.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*", PAGE, re.MULTILINE)
        _, inputs, described = row.strip("| ").split(" | ")
        if name == "activations":
            assert inputs == "as `features`"
            assert set(re.findall(r"`(\w+)`", described)) == set(outputs)
        else:
            assert set(re.findall(r"`(\w+)`", inputs)) >= answers.INPUTS[name]
            assert described == "segments"
    table = PAGE.partition("| output |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| \[(.*?)\]", table, re.MULTILINE)
    assert dict(rows) == {
        name: ", ".join(dimensions)
        for name, (_, dimensions) in answers.OUTPUTS["features"].items()
    }


def test_the_python_of_the_page(models, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_features").mkdir()
    features = np.random.default_rng(0).normal(size=(30, 5))
    np.save(tmp_path / "my_features/joined.npy", features.astype(np.float32))
    with ModelServer(models) as server:
        found = subprocess.run(
            [sys.executable]
            + ["-c", code.replace("localhost:8500", server.grpc_address)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            timeout=120,
        )
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("\n") > 0


def test_the_requests_of_the_page_are_answered(tmp_path):
    settings = LocalizationSettings(eta=(0.2, 0.4, 0.6), max_detections=40)
    model = random_model(feature_dim=2)  # as on the page
    saved_model.export(model, "abc", settings, 0.64, tmp_path / "1")
    requests = re.findall(r"(/v1/\S+) -d '(.*?)'", README, re.DOTALL)
    assert len(requests) == 2
    found = []
    with ModelServer(tmp_path) as server:
        for path, body in requests:
            url = f"http://{server.rest_address}{path}"
            with urllib.request.urlopen(url, body.encode()) as answer:
                found.append(json.load(answer))
    columns, rows = found
    (row,) = rows["predictions"]
    assert row == {k: v[0] for k, v in columns["outputs"].items()}
    assert row["num_detections"] > 0


def status_request():
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tfwstal"
    return request


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    settings = LocalizationSettings(eta=(0.2, 0.4, 0.6), max_detections=40)
    for version in (7, 8):
        model = random_model(feature_dim=5, seed=version)
        saved_model.export(model, "abc", settings, 0.64, base / str(version))
    return base


def test_the_health_check_sees_whether_the_model_is_there(models):
    _, *command = compose("docker-compose.yml")["healthcheck"]["test"]

    def status(port, name="tfwstal"):
        words = [
            word.replace("8501", str(port)).replace("/tfwstal ", f"/{name} ")
            for word in command
        ]
        return subprocess.run(words, capture_output=True, timeout=30).returncode

    with ModelServer(models) as server:
        port = server.rest_address.split(":")[1]
        assert status(port) == 0
        assert status(port, "other") != 0
        answer = server.status(status_request())
        version = answer.model_version_status[0]
        version.state = version.LOADING
        version.status.error_message = "UNAVAILABLE"
        server.status = lambda _: answer
        assert status(port) != 0
        version.state = version.AVAILABLE
        assert status(port) == 0
    assert status(port) != 0  # down


def test_a_record_is_sent_by_curl_whatever_its_size(models, tmp_path):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    (command,) = re.findall(r"^(\(printf .*?)\n```", README, re.S | re.M)
    content = record.encode(random_record("v", 20_000))
    assert len(content) > 3 * 131_072  # the longest argument of a command
    (tmp_path / "record").write_bytes(content)
    with ModelServer(models) as server:
        found = subprocess.run(
            [
                "sh",
                "-c",
                command.replace("localhost:8501", server.rest_address),
            ],
            cwd=tmp_path,
            capture_output=True,
            timeout=120,
        )
        with connection.connect(server.rest_address, "rest") as asked:
            (expected,) = asked.localize_records([content])
    (scores,) = json.loads(found.stdout)["outputs"]["scores"]
    assert len(expected) > 0
    assert scores[: len(expected)] == [
        pytest.approx(each["score"]) for each in expected
    ]


def test_labels_move_and_clients_do_not_notice(models):
    rng = np.random.default_rng(0)
    video = [rng.normal(size=(30, 5)).astype(np.float32)]
    with ModelServer(models, versions=[7]) as server:
        server.serve([7, 8], {"stable": 7, "canary": 8})
        with (
            connection.connect(server.grpc_address, label="stable") as one,
            connection.connect(server.grpc_address, label="canary") as two,
        ):
            old, new = one.localize(video), two.localize(video)
            assert old != new
            server.serve([7, 8], {"stable": 8, "canary": 8})
            assert one.localize(video) == new
            server.serve([7, 8], {"stable": 7, "canary": 8})
            assert one.localize(video) == old


def merged(requests):
    """Requests as one batch: batching_session.cc, MergeInputTensors.

    Every dimension but the first is padded at its end to the largest, with the
    first value of the tensor.
    """
    inputs = {}
    for name in requests[0]:
        tensors = [request[name] for request in requests]
        sizes = np.max([tensor.shape[1:] for tensor in tensors], axis=0)
        padded = [
            np.pad(
                tensor,
                [
                    (0, 0),
                    *(
                        (0, size - own)
                        for size, own in zip(
                            sizes.astype(int), tensor.shape[1:], strict=True
                        )
                    ),
                ],
                constant_values=tensor.flat[0],
            )
            for tensor in tensors
        ]
        inputs[name] = tf.constant(np.concatenate(padded))
    return inputs


@pytest.mark.parametrize("seed", range(5))
def test_requests_that_the_server_merges_are_answered_as_alone(models, seed):
    rng = np.random.default_rng(seed)
    signature = tf.saved_model.load(str(models / "8")).signatures["features"]
    size = batching_parameters().max_batch_size.value
    requests = [
        connection.batch_of([rng.normal(size=(length, 5)).astype(np.float32)])
        for length in rng.integers(1, 200, size)
    ]
    together = signature(**merged(requests))
    assert together["segments"].shape[0] == size
    counts = set()
    for row, request in enumerate(requests):
        alone = signature(
            **{name: tf.constant(value) for name, value in request.items()}
        )
        counts.add(int(alone["num_detections"][0]))
        for name, value in alone.items():
            if value.dtype == tf.float32:
                np.testing.assert_allclose(
                    together[name][row], value[0], rtol=1e-5, atol=1e-6
                )
            else:
                np.testing.assert_array_equal(together[name][row], value[0])
    assert len(counts) > 1  # short and long ones
