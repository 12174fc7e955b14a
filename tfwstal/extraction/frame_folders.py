"""Folders of pictures: img_00001.jpg, flow_x_00001.jpg, flow_y_00001.jpg.

That is how the extractors that peers use lay out a video. Flow pictures are
gray, 8 bits, and 0 to 255 stand for -20 to 20 pixels a frame.
"""

import re

import numpy as np

from tfwstal.errors import InputError
from tfwstal.extraction.films import import_av
from tfwstal.extraction.flow import import_cv2
from tfwstal.extraction.pictures import scaled_size

_NAME = re.compile(r"(img_|flow_x_|flow_y_)(\d+)\.(?:jpe?g|png)", re.IGNORECASE)


def is_picture(name):
    """Whether a file's name is that of a frame or of a flow."""
    return bool(_NAME.fullmatch(name))


def find_pictures(folder):
    """The pictures of a folder.

    Args:
        folder: pathlib.Path.

    Returns:
        dict "img", "flow_x", "flow_y" -> paths in the order of their numbers;
        empty lists where there are none.

    Raises:
        InputError: if numbers are missing or there twice, or the two flows do
            not have the same.
    """
    numbered = {"img": {}, "flow_x": {}, "flow_y": {}}
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        if not match:
            continue
        of_kind = numbered[match[1][:-1].lower()]
        number = int(match[2])
        if number in of_kind:
            raise InputError(
                f"{path} and {of_kind[number].name} have the same number; "
                "remove one"
            )
        of_kind[number] = path
    for kind, of_kind in numbered.items():
        _check_numbers(folder, kind, of_kind)
    if numbered["flow_x"].keys() != numbered["flow_y"].keys():
        raise InputError(
            f"{folder} has {len(numbered['flow_x'])} pictures flow_x_* and "
            f"{len(numbered['flow_y'])} flow_y_*; the same numbers are needed"
        )
    return {
        kind: [of_kind[number] for number in sorted(of_kind)]
        for kind, of_kind in numbered.items()
    }


def _check_numbers(folder, kind, of_kind):
    """Refuses gaps: frames after one would be at the wrong time."""
    if not of_kind:
        return
    first = 1 if min(of_kind) > 1 else min(of_kind)
    while first in of_kind:
        first += 1
    if first <= max(of_kind):
        raise InputError(
            f"{folder}: {kind}_{first:05d} is missing before "
            f"{of_kind[max(of_kind)].name}; copy the folder again"
        )


def read_frames(paths, shorter_side):
    """Yields uint8 [H, W, 3], RGB, scaled like a film's frames.

    Raises:
        InputError: for a picture that cannot be read, or of another size than
            the first one.
    """
    av, cv2 = import_av(), import_cv2()
    reformatter = av.video.reformatter.VideoReformatter()
    bilinear = av.video.reformatter.Interpolation.BILINEAR
    first = None
    for path in paths:
        picture = _read(cv2, path, cv2.IMREAD_COLOR)
        first = _check_size(path, picture, first)
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        height, width = rgb.shape[:2]
        size = scaled_size(width, height, shorter_side)
        if size != (width, height):
            rgb = reformatter.reformat(
                av.VideoFrame.from_ndarray(rgb, "rgb24"),
                *size,
                "rgb24",
                interpolation=bilinear,
            ).to_ndarray()
        yield rgb


def read_flows(paths_x, paths_y, shorter_side):
    """Yields float32 [H, W, 2] in [-1, 1].

    Raises:
        InputError: as `read_frames`, and for pictures of another size than
            `shorter_side`: their values are pixels of the size they were
            computed at.
    """
    cv2 = import_cv2()
    first = None
    for pair in zip(paths_x, paths_y, strict=True):
        pictures = [_read(cv2, path, cv2.IMREAD_GRAYSCALE) for path in pair]
        for path, picture in zip(pair, pictures, strict=True):
            first = _check_size(path, picture, first)
        if min(first) != shorter_side:
            raise InputError(
                f"{pair[0]} is {first[1]}x{first[0]}: flow cannot be scaled "
                f"to --shorter_side={shorter_side}; give --shorter_side="
                f"{min(first)}, or compute it from the frames (--flow=tvl1)"
            )
        yield np.stack(pictures, axis=-1).astype(np.float32) / 127.5 - 1.0


def _read(cv2, path, flags):
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); copy it again"
        ) from None
    picture = cv2.imdecode(content, flags) if len(content) else None
    if picture is None:
        raise InputError(f"{path} is not a whole picture; copy it again")
    return picture


def _check_size(path, picture, first):
    """Size (height, width) of the first picture, which all must have."""
    size = picture.shape[:2]
    if first is not None and size != first:
        raise InputError(
            f"{path} is {size[1]}x{size[0]}, the pictures before it "
            f"{first[1]}x{first[0]}; all need one size"
        )
    return size
