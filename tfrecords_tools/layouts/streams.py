"""Where a layout has its features: what every reader of one returns."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Stream:
    """The features of some videos: joined, or RGB or flow alone.

    Attributes:
        pattern: where those of a video lie, "rgb/{}.npy"; for messages.
        places: dict video -> path of its file, or array inside a larger file
            as `tfwstal.data.feature_files` takes it.
    """

    pattern: str
    places: dict

    def where(self, name):
        """Where the features of a video lie, or would."""
        return self.pattern.replace("{}", name)


def files_in(root, folder):
    """The Stream of the .npy files in a folder of `root`, "." for itself.

    Files of W-TALC's kind are none of a video.
    """
    prefix = "" if folder == "." else f"{folder}/"
    places = {
        path.stem: path
        for path in (root / folder).glob("*.npy")
        if not path.stem.endswith(JOINT) and not is_annotation(path)
    }
    return Stream(prefix + "{}.npy", places)


JOINT = "JOINTFeatures"


def is_annotation(path):
    """Whether a .npy is of W-TALC's annotations: FAC-Net's lie beside it."""
    return (path.parent / "videoname.npy").exists()
