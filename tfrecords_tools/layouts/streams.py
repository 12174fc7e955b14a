"""The features of a layout, as its reader returns them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Stream:
    """The features of some videos: joined, or only RGB or flow.

    Attributes:
        pattern: location of a video's features, "rgb/{}.npy", for messages.
        places: dict video -> path of its file, or array inside a larger file
            as `tfwstal.data.feature_files` takes it.
    """

    pattern: str
    places: dict

    def where(self, name):
        """The location of a video's features, whether they exist or not."""
        return self.pattern.replace("{}", name)


def files_in(root, folder):
    """The Stream of the .npy files in a folder of `root`, "." for itself.

    W-TALC's files are not features of a single video and are left out.
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
    """Whether a .npy file is one of W-TALC's or FAC-Net's annotations."""
    return (path.parent / "videoname.npy").exists()
