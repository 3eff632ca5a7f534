"""Pictures that are drawn, and cost as much to send and to decode as photos do."""

import io

import numpy as np
from PIL import Image

MEAN_SIZE = (500, 375)  # of ImageNet's pictures, most often


def photos(count: int) -> list[bytes]:
    """JPEGs of soft colours under fine noise, of which a JPEG takes about as many bytes as of a photo."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        soft = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize(MEAN_SIZE, Image.Resampling.BICUBIC)
        noisy = np.asarray(soft) + rng.normal(0, 12, (*MEAN_SIZE[::-1], 3))
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files
