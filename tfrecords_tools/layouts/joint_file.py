"""W-TALC's layout: the features of all videos in one object array.

    NAME-I3D-JOINTFeatures.npy    [T, 2048] of each video, RGB then flow
    NAME-Annotations/*.npy        videoname.npy has their names in this order

HAM-Net, CO2-Net, DELU and, in a single folder, FAC-Net use it too
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
            "one to other folders"
        )
    folder = _names_folder(root, paths[0], config.annotations)
    names = wtalc_arrays.read_names(folder)
    arrays = object_arrays.read(paths[0])
    if len(arrays) != len(names):
        raise InputError(
            f"{paths[0]} has {len(arrays)} videos, but "
            f"{folder / 'videoname.npy'} has {len(names)}; use files of the "
            "same data set"
        )
    places = {}
    for index, (name, array) in enumerate(zip(names, arrays, strict=True)):
        if not isinstance(array, object_arrays.PickledArray):
            raise InputError(
                f"{paths[0]}[{index}], video {name!r}, is not an array of "
                "[snippets, features]"
            )
        if name in places:
            raise InputError(
                f"{folder / 'videoname.npy'}[{index}]: video {name!r} is "
                "listed twice; remove one"
            )
        places[name] = array
    return {None: (Stream(f"{paths[0].name}[{{}}]", places),)}


def _names_folder(root, path, given):
    """The folder of the videoname.npy with the names for `path`."""
    name = path.stem.removesuffix(JOINT).removesuffix("-I3D-")
    found = [f for f in (root / f"{name}-Annotations", root) if f.is_dir()]
    found += wtalc_arrays.find(root)
    if given:
        # --annotations may name other annotations, without videoname.npy.
        found.insert(0, pathlib.Path(given))
    for folder in found:
        if wtalc_arrays.is_one(folder):
            return folder
    raise InputError(
        f"{path} needs {name}-Annotations/videoname.npy beside it, which names "
        "its videos"
    )
