"""W-TALC's layout: the features of all videos in one object array.

    NAME-I3D-JOINTFeatures.npy    [T, 2048] of each video, RGB then flow
    NAME-Annotations/*.npy        its videoname.npy names them in that order

as HAM-Net, CO2-Net, DELU and, in a single folder, FAC-Net have it
(https://github.com/sujoyp/wtalc-pytorch).
"""

import pathlib

from tfrecords_tools import object_arrays
from tfrecords_tools.labels import wtalc_arrays
from tfrecords_tools.layouts.streams import JOINT, Stream
from tfwstal.errors import InputError


def read_wtalc(root, config):
    """NAME-I3D-JOINTFeatures.npy, and NAME-Annotations/*.npy."""
    paths = sorted(root.glob(f"*{JOINT}.npy"))
    if not paths:
        return None
    if len(paths) > 1:
        raise InputError(
            f"{root} has {' and '.join(p.name for p in paths)}; move all but "
            "one to folders of their own"
        )
    folder = _names_folder(root, paths[0], config.annotations)
    names = wtalc_arrays.read_names(folder)
    arrays = object_arrays.read(paths[0])
    if len(arrays) != len(names):
        raise InputError(
            f"{paths[0]} is of {len(arrays)} videos, but "
            f"{folder / 'videoname.npy'} of {len(names)}; they are not of the "
            "same set"
        )
    places = {}
    for index, (name, array) in enumerate(zip(names, arrays, strict=True)):
        if not isinstance(array, object_arrays.PickledArray):
            raise InputError(
                f"{paths[0]}[{index}], video {name!r}, is no array; "
                "[snippets, features] is needed"
            )
        if name in places:
            raise InputError(
                f"{folder / 'videoname.npy'}[{index}]: video {name!r} stands "
                "there twice; remove one"
            )
        places[name] = array
    return {None: (Stream(f"{paths[0].name}[{{}}]", places),)}


def _names_folder(root, path, given):
    """The folder whose videoname.npy names the arrays of `path`."""
    name = path.stem.removesuffix(JOINT).removesuffix("-I3D-")
    found = [f for f in (root / f"{name}-Annotations", root) if f.is_dir()]
    found += wtalc_arrays.find(root)
    if given:
        # Other annotations may be given, where the names lie as ever.
        found.insert(0, pathlib.Path(given))
    for folder in found:
        if wtalc_arrays.is_one(folder):
            return folder
    raise InputError(
        f"{path} needs {name}-Annotations/videoname.npy beside it, which names "
        "its videos"
    )
