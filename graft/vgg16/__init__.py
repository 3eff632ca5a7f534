"""VGG16: its table of layers, its weights, the trunk that runs, heads, and the ImageNet labels."""

import os

# TensorFlow writes its build notes to standard error unless told otherwise before it is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
