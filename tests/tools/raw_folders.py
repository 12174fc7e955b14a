"""Small raw folders in the layouts that convert reads."""

import json

import h5py
import numpy as np

from tests.conftest import SHARED

WIDTH = 6  # D; each of two streams has half

# video -> (split, snippets, segments in seconds). At 25 fps and 16 frames a
# snippet, 5 snippets last 3.2 s.
VIDEOS = {
    "b_many": ("train", 5, [(0.0, 1.0, "Run"), (1.5, 3.2, "Jump")]),
    "a_one": ("train", 1, [(0.1, 0.6, "Jump")]),
    "long": ("test", 3000, [(10.0, 20.5, "Run"), (1900.0, 1920.0, "Run")]),
    "c_none": ("test", 2, []),
}
REAL_DATA = SHARED


def draw(videos, seed=0):
    """dict video id -> features [T, WIDTH] float32."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal((length, WIDTH), dtype=np.float32)
        for name, (_, length, _) in videos.items()
    }


def ground_truth(videos, subsets, as_text=False):
    """The content of gt.json; `subsets`: split -> subset."""
    kind = str if as_text else float
    return {
        "database": {
            name: {
                "subset": subsets[split],
                "annotations": [
                    {"label": label, "segment": [kind(start), kind(end)]}
                    for start, end, label in segments
                ],
            }
            for name, (split, _, segments) in videos.items()
        }
    }


def save(path, values):
    """np.save that also makes the folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def write_acmnet(root, videos=VIDEOS, lists=True):
    """Writes an acmnet folder; returns dict video id -> features."""
    features = draw(videos)
    for name, values in features.items():
        save(root / videos[name][0] / f"{name}.npy", values)
    subsets = {"train": "validation", "test": "test"}
    text = json.dumps(ground_truth(videos, subsets))
    (root / "gt.json").write_text(text)
    for split in ("train", "test") if lists else ():
        names = [n for n, video in videos.items() if video[0] == split]
        (root / f"split_{split}.txt").write_text("\n".join(names) + "\n")
    return features


def write_basnet(root, videos=VIDEOS):
    """Writes a basnet folder; returns dict video id -> features."""
    features = draw(videos)
    for name, values in features.items():
        folder = root / "features" / videos[name][0]
        save_streams(folder, name, values)
    subsets = {"train": "train", "test": "test"}
    text = json.dumps(ground_truth(videos, subsets, as_text=True))
    (root / "gt.json").write_text(text)
    return features


def save_streams(folder, name, values):
    """Writes [T, WIDTH] as rgb/NAME.npy and flow/NAME.npy."""
    save(folder / "rgb" / f"{name}.npy", values[:, : WIDTH // 2])
    save(folder / "flow" / f"{name}.npy", values[:, WIDTH // 2 :])


def write_labels(root, videos=VIDEOS):
    """Writes labels.csv with splits."""
    rows = ["video_id,labels,fps,frames_per_snippet,split"]
    for name, (split, _, segments) in videos.items():
        labels = ";".join(dict.fromkeys(label for _, _, label in segments))
        rows.append(f"{name},{labels},25,16,{split}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")


def write_folders(root, videos=VIDEOS):
    """Writes rgb/, flow/ and labels.csv; returns dict id -> features."""
    features = draw(videos)
    for name, values in features.items():
        save_streams(root, name, values)
    write_labels(root, videos)
    return features


def write_joined(root, videos=VIDEOS):
    """Writes joined/ and labels.csv; returns dict id -> features."""
    features = draw(videos)
    for name, values in features.items():
        save(root / "joined" / f"{name}.npy", values)
    write_labels(root, videos)
    return features


def write_flat(root, videos=VIDEOS):
    """Writes VIDEO.npy and labels.csv; returns dict id -> features."""
    features = draw(videos)
    for name, values in features.items():
        save(root / f"{name}.npy", values)
    write_labels(root, videos)
    return features


def write_truth(path, videos=VIDEOS, subsets=None, **more):
    """Writes ActivityNet JSON with the keys `more` in every video."""
    subsets = subsets or {"train": "training", "test": "validation"}
    truth = ground_truth(videos, subsets)
    for video in truth["database"].values():
        video.update(more)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(truth))


def write_activitynet(root, videos=VIDEOS):
    """Writes ActivityNet's JSON and v_VIDEO.npy; returns the features."""
    features = draw(videos)
    for name, values in features.items():
        save(root / f"v_{name}.npy", values)
    write_truth(root / "activity_net.v1-3.min.json", videos)
    return features


def write_actionformer(root, videos=VIDEOS, **more):
    """Writes annotations/thumos14.json, i3d_features/; returns features."""
    features = draw(videos)
    for name, values in features.items():
        save(root / "i3d_features" / f"{name}.npy", values)
    subsets = {"train": "Validation", "test": "Test"}
    more = more or {"fps": 25.0}
    write_truth(root / "annotations" / "thumos14.json", videos, subsets, **more)
    return features


def objects(items):
    """A 1-D array of objects."""
    array = np.empty(len(items), object)
    array[:] = items
    return array


def write_wtalc(root, videos=VIDEOS, folder="Thumos14reduced-Annotations"):
    """Writes a wtalc folder; returns dict video id -> features."""
    features = draw(videos)
    joint = root / "Thumos14reduced-I3D-JOINTFeatures.npy"
    save(joint, objects(list(features.values())))
    save_wtalc_annotations(root / folder, videos)
    return features


def save_wtalc_annotations(folder, videos):
    """Writes W-TALC's arrays of labels and segments."""
    subsets = {"train": "validation", "test": "test"}
    actions = [segments for _, _, segments in videos.values()]
    labels = [[label.encode() for _, _, label in part] for part in actions]
    arrays = {
        "videoname": np.array([name.encode() for name in videos]),
        "subset": np.array([subsets[v[0]].encode() for v in videos.values()]),
        "classlist": np.array([b"Jump", b"Run"]),
        "duration": np.array([[0.64 * v[1]] for v in videos.values()]),
        "extracted_fps": np.full(len(videos), 10),
        "segments": objects([[[s, e] for s, e, _ in p] for p in actions]),
        "labels": objects(labels),
        "labels_all": objects([sorted(set(part)) for part in labels]),
    }
    for name, array in arrays.items():
        save(folder / f"{name}.npy", array)


def write_thumos_texts(root, videos=VIDEOS):
    """Writes the challenge's text files and VIDEO.npy; returns the features.

    A video without actions is in none of the text files.
    """
    features = draw(videos)
    for name, values in features.items():
        save(root / f"{name}.npy", values)
    lines = {}
    for name, (split, _, segments) in videos.items():
        subset = {"train": "val", "test": "test"}[split]
        for start, end, label in segments:
            path = root / f"thumos14-{subset}-annotations/{label}_{subset}.txt"
            lines.setdefault(path, []).append(f"{name}  {start} {end}\n")
    for path, found in lines.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(found))
        (path.parent / "detclasslist.txt").write_text("1 Jump\r\n2 Run\r\n")
    return features


def halves(values):
    """RGB and flow of [T, WIDTH]."""
    half = WIDTH // 2
    return {"rgb": values[:, :half], "flow": values[:, half:]}


def write_npz(root, videos=VIDEOS):
    """Writes one .npz of all videos, streams joined, and labels.csv."""
    return _write_archive(root, videos, _npz, lambda values: {"": values})


def write_npz_streams(root, videos=VIDEOS):
    """Writes one .npz of VIDEO/rgb and VIDEO/flow, and labels.csv."""
    return _write_archive(root, videos, _npz, halves)


def write_hdf5(root, videos=VIDEOS):
    """Writes one .h5 with a dataset per video, and labels.csv."""
    return _write_archive(root, videos, _hdf5, lambda values: {"": values})


def write_hdf5_groups(root, videos=VIDEOS):
    """Writes one .h5 with rgb and flow in a group per video, and labels.csv."""
    return _write_archive(root, videos, _hdf5, halves)


def write_npz_of_one_video(root, videos=VIDEOS):
    """Writes VIDEO.npz with rgb and flow, and labels.csv."""
    features = draw(videos)
    root.mkdir(parents=True, exist_ok=True)
    for name, values in features.items():
        np.savez(root / f"{name}.npz", **halves(values))
    write_labels(root, videos)
    return features


def write_hdf5_files(root, videos=VIDEOS):
    """Writes rgb.h5 and flow.h5, and labels.csv."""
    features = draw(videos)
    root.mkdir(parents=True, exist_ok=True)
    for stream in ("rgb", "flow"):
        arrays = {n: halves(values)[stream] for n, values in features.items()}
        _hdf5(root / stream, arrays)
    write_labels(root, videos)
    return features


def write_hdf5_splits(root, videos=VIDEOS):
    """Writes train.hdf5 and test.hdf5, and a gt.json without lists."""
    features = draw(videos)
    root.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        with h5py.File(root / f"{split}.hdf5", "w") as file:
            for name, values in features.items():
                if videos[name][0] == split:
                    file[name] = values
    write_truth(root / "gt.json", videos)
    return features


def _write_archive(root, videos, write, parts_of):
    """Writes FEATURES.npz or .h5 and labels.csv."""
    features = draw(videos)
    root.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{name}/{part}".rstrip("/"): array
        for name, values in features.items()
        for part, array in parts_of(values).items()
    }
    write(root / "i3d", arrays)
    write_labels(root, videos)
    return features


def _npz(path, arrays):
    np.savez(path, **arrays)


def _hdf5(path, arrays):
    with h5py.File(f"{path}.h5", "w") as file:
        for key, values in arrays.items():
            file[key] = values
