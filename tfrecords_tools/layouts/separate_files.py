"""Layouts with one or two .npy files a video."""

from tfrecords_tools import labels
from tfrecords_tools.layouts.streams import files_in
from tfwstal.errors import InputError
from tfwstal.extraction import feature_folder

# A reader takes --features_dir and a Config. It returns a dict from split to
# Streams, with the key None if the layout has no splits, or None if the folder
# has another layout. Error messages show its docstring.


def read_acmnet(root, _):
    """{train,test}/VIDEO.npy."""
    streams = {s: (files_in(root, s),) for s in ("train", "test")}
    return streams if _any(streams) else None


def read_basnet(root, _):
    """features/{train,test}/{rgb,flow}/VIDEO.npy, or without features/."""
    for base in ("features/", ""):
        streams = {
            split: tuple(
                files_in(root, f"{base}{split}/{stream}")
                for stream in ("rgb", "flow")
            )
            for split in ("train", "test")
        }
        if _any(streams):
            return streams
    return None


def read_folders(root, _):
    """{rgb,flow}/VIDEO.npy, joined/VIDEO.npy or VIDEO.npy."""
    facts = feature_folder.read_facts(root)
    if facts:  # written by `extract`, perhaps with a single stream
        return _only(root, [tuple(files_in(root, s) for s in facts["weights"])])
    two = (files_in(root, "rgb"), files_in(root, "flow"))
    return _only(root, [(files_in(root, f),) for f in ("joined", ".")] + [two])


def read_actionformer(root, config):
    """i3d_features/VIDEO.npy, features/NAME/VIDEO.npy or VIDEO.npy, and JSON
    with "fps" or "frame" of each video."""
    if not _states_frame_rates(root, config.annotations):
        return None
    folders = ["i3d_features", "features", "."]
    folders += [
        path.relative_to(root).as_posix()
        for path in sorted(root.glob("features/*"))
        if path.name not in ("train", "test", "rgb", "flow")
    ]
    return _only(root, [(files_in(root, folder),) for folder in folders])


def _only(root, found):
    """The one of several tuples of Streams that has features, or None."""
    found = [streams for streams in found if any(s.places for s in streams)]
    if len(found) > 1:
        places = " and ".join(
            str(root / streams[0].pattern.rpartition("/")[0])
            for streams in found
        )
        raise InputError(
            f"{root} has features in more than one place: {places}; keep only "
            "one of them"
        )
    return {None: found[0]} if found else None


def _any(streams):
    return any(s.places for part in streams.values() for s in part)


def _states_frame_rates(root, given):
    """Whether the annotations are JSON with a video's own frame rate."""
    try:
        path = labels.find_annotations(root, given)
    except InputError:  # none, or several: another layout may know which
        return False
    if path.suffix.lower() != ".json":
        return False
    # Not parsed here: the reader reports malformed files.
    content = path.read_bytes()
    return b'"fps"' in content or b'"frame"' in content
