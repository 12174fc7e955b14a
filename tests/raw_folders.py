"""Small raw folders in the layouts that convert reads, for its tests."""

import json
import pathlib

import numpy as np

WIDTH = 6  # D; each of two streams has half

# video -> (split, snippets, segments in seconds). At 25 fps and 16 frames a
# snippet, 5 snippets last 3.2 s.
VIDEOS = {
    "b_many": ("train", 5, [(0.0, 1.0, "Run"), (1.5, 3.2, "Jump")]),
    "a_one": ("train", 1, [(0.1, 0.6, "Jump")]),
    "long": ("test", 3000, [(10.0, 20.5, "Run"), (1900.0, 1920.0, "Run")]),
    "c_none": ("test", 2, []),
}
REAL_DATA = pathlib.Path(__file__).parent.parent.parent / "shared" / "data"


def draw(videos, seed=0):
    """dict video id -> features [T, WIDTH] float32."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal((length, WIDTH), dtype=np.float32)
        for name, (_, length, _) in videos.items()
    }


def ground_truth(videos, subsets, as_text=False):
    """What gt.json holds; `subsets`: split -> subset."""
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
    """np.save, with the folders."""
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
    """Writes .npy beside labels.csv; returns dict id -> features."""
    features = draw(videos)
    for name, values in features.items():
        save(root / f"{name}.npy", values)
    write_labels(root, videos)
    return features
