"""Optical flow between neighbouring frames, by OpenCV.

DeepMind's README: gray frames, TV-L1, truncated to [-20, 20] pixels, then
scaled to [-1, 1]. DIS (Kroeger et al., ECCV 2016) is far faster and gives
another flow, on which the published network was not trained.
"""

import numpy as np

from tfwstal.errors import InputError

LIMIT_PIXELS = 20.0
METHODS = ("tvl1", "dis")


def import_cv2():
    """OpenCV.

    Raises:
        InputError: if it is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise InputError(
            "pictures and optical flow need OpenCV; install it with "
            "pip install 'tfwstal[extract]'"
        ) from None
    return cv2


class Flow:
    """The flow from each frame to the next.

    Args:
        method: "tvl1" or "dis".
        threads: of OpenCV in this process; 0 leaves it to OpenCV.

    Raises:
        InputError: if OpenCV, or its contributed modules, are missing.
    """

    def __init__(self, method, threads=0):
        self._cv2 = cv2 = import_cv2()
        if threads:
            cv2.setNumThreads(threads)
        if method == "dis":
            self._algorithm = cv2.DISOpticalFlow_create(
                cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
            )
        elif hasattr(getattr(cv2, "optflow", None), "DualTVL1OpticalFlow"):
            self._algorithm = cv2.optflow.DualTVL1OpticalFlow_create()
        else:
            raise InputError(
                "this OpenCV has no TV-L1, which is one of its contributed "
                "modules; install opencv-contrib-python-headless in its "
                "place, or use --flow=dis"
            )
        self._previous = None

    def __call__(self, frame):
        """Flow from the frame before to this one.

        Args:
            frame: uint8 [H, W, 3], RGB.

        Returns:
            float32 [H, W, 2] in [-1, 1], x then y; None for the first frame.
        """
        cv2 = self._cv2
        gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
        previous, self._previous = self._previous, gray
        if previous is None:
            return None
        return flow_values(self._algorithm.calc(previous, gray, None))


def flow_values(pixels):
    """Flow in pixels a frame, truncated and scaled to [-1, 1]."""
    return np.clip(pixels, -LIMIT_PIXELS, LIMIT_PIXELS) / LIMIT_PIXELS
