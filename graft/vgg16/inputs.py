"""From pixels to the numbers that enter the trunk. One function for training and for serving."""

import numpy as np
import numpy.typing as npt

from graft.types import Preprocessing

# Means of the ImageNet training set in the order blue, green, red (Simonyan & Zisserman; Keras' mode `caffe`).
IMAGENET_MEANS_BGR = np.array([103.939, 116.779, 123.68], np.float32)


def network_input(pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """uint8 RGB (n, 224, 224, 3) -> float32 of the same shape; the input is left as it is.

    `caffe`: BGR minus the ImageNet means. `none`: RGB 0-255.
    """
    if preprocessing == "none":
        return pixels.astype(np.float32)
    numbers = pixels[..., ::-1].astype(np.float32)
    numbers -= IMAGENET_MEANS_BGR
    return numbers
