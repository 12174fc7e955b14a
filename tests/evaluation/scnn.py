"""S-CNN's published results on THUMOS-14: detections and the authors' AP.

`res_seg_swin.mat` holds scored sliding windows, `res_scnn_thumos14.mat` the AP
that the authors got from the challenge's kit at five thresholds, with classes
in alphabetical order. The steps in between are those of eval_scnn_thumos14.m in
https://github.com/zhengshou/scnn: weight the scores by the windows' length,
suppress windows that overlap a better one by more than the threshold minus 0.1,
and write times with one decimal and scores with five digits.
"""

import struct
import zlib

import numpy as np

_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4"}
_TYPES |= {9: "f8", 12: "i8", 13: "u8"}
# Columns of seg_swin: video, length in frames, start, end, score, class.
_VIDEO, _LENGTH, _START, _END, _SCORE, _CLASS = 0, 1, 4, 5, 8, 10


def read_mat(path):
    """The numeric arrays and cells of a MATLAB 5 file, by name.

    The format: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
    """
    content, position, found = path.read_bytes(), 128, {}
    while position < len(content):
        kind, data, position = _element(content, position)
        if kind == 15:  # compressed
            _, data, _ = _element(zlib.decompress(data), 0)
        name, value = _matrix(data)
        found[name] = value
    return found


def detections(folder, threshold):
    """Rows (video, class from 1 to 20, start, end, score), best first."""
    windows = read_mat(folder / "res_seg_swin.mat")["seg_swin"]
    windows = windows[windows[:, _CLASS] != 0]
    weights = read_mat(folder / "weight.mat")["weight"]
    scale = np.log2(windows[:, _LENGTH] / 16).astype(int)
    label = windows[:, _CLASS].astype(int)
    windows[:, _SCORE] *= weights[scale, label - 1]
    group = windows[:, _VIDEO].astype(int) * 100 + label
    in_groups = np.argsort(group, kind="stable")
    begins = np.flatnonzero(np.diff(group[in_groups])) + 1
    kept = []
    for rows in np.split(in_groups, begins):
        kept += _suppressed(windows, rows, threshold - 0.1)
    windows = windows[kept]
    windows = windows[np.argsort(-windows[:, _SCORE], kind="stable")]
    return [
        (
            f"video_test_{int(row[_VIDEO]):07d}",
            int(row[_CLASS]),
            float(f"{row[_START]:.1f}"),
            float(f"{row[_END]:.1f}"),
            float(f"{row[_SCORE]:.5g}"),
        )
        for row in windows
    ]


def published_ap(folder):
    """[5, 20] AP of the authors."""
    cells = read_mat(folder / "res_scnn_thumos14.mat")["AP_all"]
    return np.concatenate(cells)


def _suppressed(windows, rows, most):
    """The rows of one video and class that NMS keeps, best first."""
    order = rows[np.argsort(windows[rows, _SCORE], kind="stable")]
    kept = []
    while len(order):
        best, order = order[-1], order[:-1]
        kept.append(best)
        start, end = windows[order, _START], windows[order, _END]
        shared = np.minimum(end, windows[best, _END]) - np.maximum(
            start, windows[best, _START]
        )
        shared = np.maximum(shared, 0)
        own = windows[best, _END] - windows[best, _START]
        order = order[shared / (own + (end - start) - shared) <= most]
    return kept


def _element(content, position):
    """(type, data, position of the next element) of a tagged element."""
    kind, size = struct.unpack_from("<II", content, position)
    if kind >> 16:  # a small element: size and data in the tag
        size = kind >> 16
        data = content[position + 4 : position + 4 + size]
        return kind & 0xFFFF, data, position + 8
    begin = position + 8
    padding = 0 if kind == 15 else -size % 8
    return kind, content[begin : begin + size], begin + size + padding


def _matrix(data):
    """(name, array or list of arrays); None for a structure."""
    _, flags, position = _element(data, 0)
    _, shape, position = _element(data, position)
    _, name, position = _element(data, position)
    name, shape = name.decode(), np.frombuffer(shape, "<i4")
    if flags[0] == 2:  # a structure
        return name, None
    if flags[0] == 1:  # a cell
        cells = []
        while position < len(data):
            _, cell, position = _element(data, position)
            cells.append(_matrix(cell)[1])
        return name, cells
    kind, values, _ = _element(data, position)
    values = np.frombuffer(values, "<" + _TYPES[kind])
    return name, values.reshape(shape, order="F").astype(np.float64)
