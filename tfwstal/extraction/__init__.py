"""From films to I3D features: decoding, optical flow, network and weights.

Only this package needs PyAV and OpenCV (`pip install 'tfwstal[extract]'`); they
are imported where they are used, so that the rest works without them.
"""
