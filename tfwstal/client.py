r"""Asks a model server for the actions of a video, or checks it.

    python -m tfwstal.client --server=localhost:8500 \
        --features=rgb.npy,flow.npy --detections=detections.json
    python -m tfwstal.client --server=localhost:8501 --transport=rest --selftest

The first form sends features as `localize` reads them and prints the segments;
--detections also writes them as `localize` does. The second form checks a
running server end to end and exits with status 0 or 1.
"""

from tfwstal import command_line, quiet_start

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("client", tensorflow=False)

import pathlib

from tfwstal import files
from tfwstal.data import activitynet, feature_files
from tfwstal.plotting.detection_table import detection_table
from tfwstal.serving import connection, selftest
from tfwstal.serving.target import read_token


def main(config):
    """Asks a server as the Config says; see the module."""
    config.require("server")
    if not config.selftest:
        config.require("features")
    files.check_outputs(
        {"detections": config.detections}, config.features, config.overwrite
    )
    if config.transport == "grpc":  # its messages need TensorFlow
        quiet_start.import_tensorflow()
    with connection.connect(
        config.server,
        config.transport,
        model=config.model_name,
        version=config.model_version,
        label=config.version_label,
        timeout=config.timeout,
        tls=config.tls,
        ca_file=config.ca_file,
        token=read_token(config.token_file),
    ) as server:
        if config.selftest:
            selftest.run(server)
        else:
            localize(server, config)


def localize(server, config):
    """Localizes one video from .npy files and prints its segments."""
    array = feature_files.load_video(config.features)
    (found,) = server.localize([array])
    name = pathlib.Path(config.features[0]).stem
    if config.detections:
        activitynet.write_detections(config.detections, {name: found})
    print(detection_table(name, len(array), found))


if __name__ == "__main__":
    command_line.run(main, "client")
