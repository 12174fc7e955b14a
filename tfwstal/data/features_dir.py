"""Feature files in a folder without labels, for `localize`."""

import pathlib

from tfwstal.data.names import name_problem
from tfwstal.errors import InputError


def find(features_dir):
    """Finds {rgb,flow}/VIDEO.npy, rgb/VIDEO.npy, joined/VIDEO.npy or VIDEO.npy.

    Args:
        features_dir: the folder.

    Returns:
        dict from video id to its paths, RGB then flow or a single one, sorted
        by id.

    Raises:
        InputError: if there are no features, or a video lacks a stream.
    """
    root = pathlib.Path(features_dir)
    streams = [
        {path.stem: path for path in sorted((root / name).glob("*.npy"))}
        for name in ("rgb", "flow")
    ]
    streams = [stream for stream in streams if stream]
    for folder in ("joined", "."):
        if not streams:
            paths = sorted((root / folder).glob("*.npy"))
            streams = [{path.stem: path for path in paths}] if paths else []
    if not streams:
        raise InputError(
            f"--features_dir={root} has no features ({{rgb,flow}}/VIDEO.npy, "
            "joined/VIDEO.npy or VIDEO.npy)"
        )
    names = set().union(*streams)
    for name in sorted(names):
        if problem := name_problem(name):
            path = next(s[name] for s in streams if name in s)
            raise InputError(f"{path}: the name {problem}; rename the file")
    for stream in streams:
        missing = names - stream.keys()
        if missing:
            folder = next(iter(stream.values())).parent
            raise InputError(
                f"{folder / sorted(missing)[0]}.npy is missing; extract the "
                "video again"
            )
    return {name: tuple(s[name] for s in streams) for name in sorted(names)}
