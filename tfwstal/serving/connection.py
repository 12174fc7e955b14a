"""Asks a running model server for the actions of videos.

    with connection.connect("localhost:8500") as server:
        ((first, *others),) = server.localize([features])  # [T, D]
    first["label"], first["score"], first["segment"]  # seconds

The server is TensorFlow Serving with a folder that `tfwstal.export` wrote.
"""

import contextlib

import numpy as np

from tfwstal.errors import InputError
from tfwstal.serving import answers
from tfwstal.serving.target import ServerError, Target


@contextlib.contextmanager
def connect(server, transport="grpc", **target):
    """Opens a Connection and closes it at the end of the block.

    Args:
        server: "host:port".
        transport: "grpc" or "rest"; they use different ports.
        **target: other attributes of Target: `model`, `version`, `label`,
            `timeout`, `tls`, `ca_file` and `token`.

    Raises:
        InputError: if one of these is wrong, or tensorflow-serving-api, which
            gRPC needs, is not installed.
    """
    opened = Connection(Target(server, **target), transport)
    try:
        yield opened
    finally:
        opened.close()


class Connection:
    """One model of one server.

    All methods raise ServerError if the server does not answer in time, refuses
    the request, or sends a malformed answer. The message says what to do.

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
            ...}: dtypes as "DT_FLOAT", -1 in a shape for any size.
        """
        with self._explained():
            self._signatures = self._transport.signatures()
        return self._signatures

    def feature_dim(self):
        """D, the width of the features that the model takes.

        Raises:
            InputError: if the model was not written by `tfwstal.export`.
        """
        signature = (self._signatures or self.signatures()).get("features", {})
        _, shape = signature.get("inputs", {}).get("features", ("", ()))
        if len(shape) != 3 or shape[2] < 1:
            raise InputError(
                f"--server={self._target.server}: {self._target} has no "
                "signature 'features' of [videos, snippets, features]; serve "
                "what tfwstal.export wrote"
            )
        return shape[2]

    def predict(self, signature, inputs):
        """Runs a signature.

        Args:
            signature: "features", "serving_default" or "activations".
            inputs: dict of arrays, the leading axis of B videos; strings as an
                object array of bytes.

        Returns:
            dict of arrays, checked by `answers.checked`; strings as an object
            array of bytes.
        """
        if signature not in answers.OUTPUTS:
            raise InputError(
                f"signature {signature!r}: the client knows "
                f"{', '.join(answers.OUTPUTS)}"
            )
        with self._explained():
            outputs = self._transport.predict(signature, inputs)
        with self._target.reading(f"signature {signature!r}"):
            return answers.checked(
                signature,
                outputs,
                len(next(iter(inputs.values()))),
                inputs.get("num_snippets"),
            )

    def localize(self, videos):
        """Finds the actions of a batch of videos, in one request.

        Videos that the server would refuse are refused here first. A server
        with batching needs this most: it pads features that are too narrow,
        and one bad request fails all requests that it was merged with.

        Args:
            videos: list of features, [T, D] float, T of any length.

        Returns:
            for each video a list of {"label", "score", "segment": [start,
            end]} in seconds, best first.

        Raises:
            InputError: if there is no video, or one is not [T, D] floats with
                T at least 1, all finite as float32, and D the model's.
        """
        videos = [_as_floats(video, row) for row, video in enumerate(videos)]
        if not videos:
            raise InputError("no video is given to localize")
        width = self.feature_dim()
        if any(video.shape[1] != width for video in videos):
            self._signatures = None  # another version may be served by now
            width = self.feature_dim()
        for row, video in enumerate(videos):
            if video.shape[1] != width:
                raise InputError(
                    f"video {row} has features {video.shape[1]} wide, the "
                    f"model on the server takes {width}"
                )
        return answers.detections(self.predict("features", batch_of(videos)))

    def localize_records(self, records):
        """Finds the actions of records, which state their own frame rates.

        Args:
            records: list of bytes, as `record.encode` returns them.

        Returns:
            as `localize`.

        Raises:
            InputError: if there is no record, or one is not bytes.
        """
        records = list(records)
        if not records or not all(isinstance(each, bytes) for each in records):
            raise InputError(
                "localize_records needs a list of bytes, not empty"
            )
        examples = {"examples": np.array(records, object)}
        return answers.detections(self.predict("serving_default", examples))

    @contextlib.contextmanager
    def _explained(self):
        """Lists the versions that exist where another one was asked for."""
        try:
            yield
        except ServerError as error:
            if error.code != "NOT_FOUND" or not self._target.version:
                raise
            found = ", ".join(
                f"{version} ({state})"
                for version, state in sorted(self.versions().items())
            )
            raise ServerError(
                error.code,
                f"--server={self._target.server}: {self._target} is not "
                f"served; the versions are: {found}",
            ) from None


def batch_of(videos):
    """The inputs of one request for videos of any lengths.

    Args:
        videos: list of arrays [T, D].

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


def _transport(target, name):
    """Imports only what the transport needs."""
    if name == "rest":
        from tfwstal.serving.rest_transport import RestTransport

        return RestTransport(target)
    if name != "grpc":
        raise InputError(f"transport {name!r}: must be grpc or rest")
    try:
        from tfwstal.serving.grpc_transport import GrpcTransport
    except ModuleNotFoundError as error:
        raise InputError(
            f"gRPC needs tensorflow-serving-api ({error}); pip install "
            "'.[serving]', or use --transport=rest with the server's REST port"
        ) from None
    return GrpcTransport(target)


def _as_floats(video, row):
    """A video's features as float32; raises InputError if they are not."""
    try:
        array = np.asarray(video)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.ndim != 2 or array.dtype.kind != "f" or not array.size:
        raise InputError(
            f"video {row} is {array.dtype} {list(array.shape)}; floats "
            "[snippets, features] are needed, one snippet or more"
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise InputError(
            f"video {row} holds features that are NaN, infinite, or too large "
            "for float32"
        )
    return array
