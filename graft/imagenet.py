"""The 1000 ImageNet classes, in the order of VGG16's outputs.

The class index is the file that Keras' decode_predictions downloads (md5 c2c37ea517e94d9795004a39431a14cb).
"""

import json
from functools import cache
from importlib.resources import files

CLASSES = 1000


@cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """(wnid, label) of every output, in order. Labels are not unique: `crane` and `maillot` are there twice."""
    index = json.loads((files("graft") / "imagenet_class_index.json").read_bytes())
    return tuple((index[str(i)][0], index[str(i)][1]) for i in range(CLASSES))
