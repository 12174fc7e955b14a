"""Asks a running model server for the actions of videos.

    with connection.connect("localhost:8500") as client:
        ((first, *others),) = client.localize([features])  # [T, D]
    first["label"], first["score"], first["segment"]  # seconds

The server is TensorFlow Serving with a folder that `tfwstal.export` wrote.
"""

import contextlib

import numpy as np

from tfwstal.errors import InputError
from tfwstal.serving.target import ServerError, Target


@contextlib.contextmanager
def connect(server, transport="grpc", **target):
    """A ServingClient; the connection is closed at the end of the block.

    Args:
        server: "host:port".
        transport: "grpc" or "rest"; each has a port of its own.
        **target: `model`, `version`, `label` and `timeout` of Target.

    Raises:
        InputError: if the address is no host:port, or the stubs that gRPC
            needs are not installed.
    """
    client = ServingClient(Target(server, **target), transport)
    try:
        yield client
    finally:
        client.close()


class ServingClient:
    """One model of one server.

    All methods raise ServerError if the server does not answer in time, or
    refuses the request, with what to do about it.

    Args:
        target: Target.
        transport: "grpc" or "rest".
    """

    def __init__(self, target, transport="grpc"):
        self._target = target
        self._transport = _transport(target, transport)
        self._signatures = None

    def close(self):
        """Closes the connection."""
        self._transport.close()

    def versions(self):
        """dict from each version of the model to its state, "AVAILABLE"."""
        return self._transport.versions()

    def signatures(self):
        """The model's signatures, as the server describes them now.

        Returns:
            dict from name to {"inputs": {name: (dtype, shape)}, "outputs":
            ...}: dtypes as "DT_FLOAT", -1 in a shape for what is free.
        """
        with self._explained():
            self._signatures = self._transport.signatures()
        return self._signatures

    def feature_dim(self):
        """D, the width of the features that the model takes.

        Raises:
            InputError: if the model is none that `tfwstal.export` wrote.
        """
        signature = (self._signatures or self.signatures()).get("features", {})
        _, shape = signature.get("inputs", {}).get("features", ("", ()))
        if len(shape) != 3:
            raise InputError(
                f"--server={self._target.server}: {self._target} has no "
                "signature 'features'; serve what tfwstal.export wrote"
            )
        return shape[2]

    def predict(self, signature, inputs):
        """Runs a signature.

        Args:
            signature: "features", "serving_default" or "activations".
            inputs: dict of arrays; strings as an object array of bytes.

        Returns:
            dict of arrays; strings as an object array of bytes.
        """
        with self._explained():
            return self._transport.predict(signature, inputs)

    def localize(self, videos):
        """Finds the actions of a batch of videos, in one request.

        What the server would refuse is refused here first. It matters most
        where the server batches: it pads what is too narrow, and one bad
        request spoils the answers of those that it came to be batched with.

        Args:
            videos: list of features, [T, D] float, T of any length.

        Returns:
            for each video a list of {"label", "score", "segment": [start,
            end]} in seconds, best first.

        Raises:
            InputError: if there is no video, or one is not [T, D] with a
                snippet or more, all finite, D the model's.
        """
        if not videos:
            raise InputError("no video is given to localize")
        width = self.feature_dim()
        if any(np.shape(video)[1:] != (width,) for video in videos):
            self._signatures = None  # another version may be served by now
            width = self.feature_dim()
        for row, video in enumerate(videos):
            _check(video, row, width)
        return detections(self.predict("features", batch_of(videos)))

    def localize_records(self, records):
        """Finds the actions of records, which state their own frame rates.

        Args:
            records: list of what `record.encode` returned, bytes.

        Returns:
            as `localize`.
        """
        examples = {"examples": np.array(records, object)}
        return detections(self.predict("serving_default", examples))

    @contextlib.contextmanager
    def _explained(self):
        """Tells a wrong version from a wrong name."""
        try:
            yield
        except ServerError as error:
            if error.code != "NOT_FOUND" or not self._target.version:
                raise
            there = ", ".join(
                f"{version} ({state})"
                for version, state in sorted(self.versions().items())
            )
            raise ServerError(
                error.code,
                f"--server={self._target.server}: {self._target} is not "
                f"served; there are: {there}",
            ) from None


def batch_of(videos):
    """Videos of any lengths, list of [T, D], as the inputs of one request.

    Returns:
        dict of `features` [B, T, D] float32, zero past a video's own snippets,
        and `num_snippets` [B] int32.
    """
    lengths = np.array([len(video) for video in videos], np.int32)
    shape = (len(videos), lengths.max(), videos[0].shape[1])
    features = np.zeros(shape, np.float32)
    for row, video in enumerate(videos):
        features[row, : len(video)] = video
    return {"features": features, "num_snippets": lengths}


def detections(outputs):
    """The segments of a batch.

    Args:
        outputs: of the signatures `features` and `serving_default`: `segments`
            [B, N, 2] seconds, `labels` [B, N] bytes, `scores` [B, N] and
            `num_detections` [B], past which the rows are empty.

    Returns:
        for each video a list of {"label", "score", "segment"}, best first.
    """
    return [
        [
            {
                "label": outputs["labels"][row][i].decode(),
                "score": float(outputs["scores"][row][i]),
                "segment": [float(t) for t in outputs["segments"][row][i]],
            }
            for i in range(count)
        ]
        for row, count in enumerate(outputs["num_detections"])
    ]


def _transport(target, name):
    """Imports what the transport needs, and nothing else."""
    if name == "rest":
        from tfwstal.serving.rest_transport import RestTransport

        return RestTransport(target)
    try:
        from tfwstal.serving.grpc_transport import GrpcTransport
    except ModuleNotFoundError as error:
        raise InputError(
            f"gRPC needs tensorflow-serving-api ({error}); pip install "
            "'tfwstal[serving]', or use --transport=rest with the server's "
            "REST port"
        ) from None
    return GrpcTransport(target)


def _check(video, row, width):
    """Raises InputError unless the features of a video can be sent."""
    array = np.asarray(video)
    if array.ndim != 2 or array.dtype.kind != "f" or not len(array):
        raise InputError(
            f"video {row} is {array.dtype} {list(array.shape)}; floats "
            "[snippets, features] are needed, one snippet or more"
        )
    if array.shape[1] != width:
        raise InputError(
            f"video {row} has features {array.shape[1]} wide, the model on "
            f"the server takes {width}"
        )
    if not np.isfinite(array).all():
        raise InputError(f"video {row} holds NaN or infinite features")
