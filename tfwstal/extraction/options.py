"""Options of extraction, each declared once, as in `method.options`.

`config.py` builds the flags of the same names from this class. Only the
standard library and `method.options` are imported.
"""

import dataclasses

from tfwstal.method.options import Options, option


@dataclasses.dataclass(frozen=True)
class ExtractionOptions(Options):
    """How films become the network's input."""

    flow: str = option(
        "tvl1",
        "Optical flow: tvl1 is what the published network was trained on, "
        "but slow; dis is fast, but gives different features; images reads "
        "flow_x_00001.jpg and flow_y_00001.jpg from folders; none uses RGB "
        "alone, as does a missing --flow_checkpoint.",
        choices=("tvl1", "dis", "images", "none"),
    )
    shorter_side: int = option(
        256,
        "Pixels that the shorter side of a frame is scaled to.",
        low=16,
        high=4096,
    )
    crop_size: int = option(
        224,
        "Side of the square in the middle of a frame that the network sees, "
        "in pixels.",
        low=16,
        high=4096,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.crop_size > self.shorter_side:
            raise ValueError(
                f"crop_size={self.crop_size} is larger than --shorter_side="
                f"{self.shorter_side}; the square is cut out of the frame"
            )


@dataclasses.dataclass(frozen=True)
class Settings(ExtractionOptions):
    """How snippets are made of videos; see ExtractionOptions too.

    Attributes:
        fps: frames a second; films are converted to it by time, pictures are
            taken to have it.
        frames_per_snippet: S.
        rgb: whether RGB is wanted.
    """

    fps: float = 25.0
    frames_per_snippet: int = 16
    rgb: bool = True

    def __post_init__(self):
        # The fields of this class have no metadata to check.
        ExtractionOptions(self.flow, self.shorter_side, self.crop_size)

    @property
    def streams(self):
        """Names of the streams that are wanted."""
        flow = ("flow",) if self.flow != "none" else ()
        return (("rgb",) if self.rgb else ()) + flow
