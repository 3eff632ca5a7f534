"""The example answers that /docs shows. A test holds each of them against its schema."""

from typing import Any

NO_MODEL = (
    "A model must have been trained to be used; there are signs, vgg16; received 'sings'. "
    "Ask for one of these, or train it."
)
PROBLEM: dict[str, Any] = {
    "type": "urn:graft:error:not-found",
    "title": "Not found",
    "status": 404,
    "detail": NO_MODEL,
    "error": NO_MODEL,
}
READY: dict[str, Any] = {"status": "ready", "classifier": "missing", "precision": "float32"}
PREDICTION: dict[str, Any] = {
    "model": "signs",
    "version": 3,
    "predictions": [
        {
            "filename": "a.jpg",
            "top": [
                {"label": "7", "index": 7, "probability": 0.981},
                {"label": "9", "index": 9, "probability": 0.012},
            ],
        }
    ],
}
PREDICTIONS: dict[str, Any] = {"results": [PREDICTION, {**PREDICTION, "model": "letters", "version": 1}]}
INSTANCES: dict[str, Any] = {"instances": [{"b64": "/9j/4AAQSkZJRg…", "filename": "a.jpg"}]}
EMBEDDINGS: dict[str, Any] = {
    "layer": "block5_pool",
    "pooling": "avg",
    "shape": [1, 512],
    "embeddings": [{"filename": "a.jpg", "embedding": [0.0, 1.25, 0.4375]}],
}
VERSION: dict[str, Any] = {
    "version": 3,
    "created_at": "2026-11-24T09:30:00Z",
    "status": "available",
    "problem": None,
    "metrics": {
        "validation": {"loss": 0.11, "accuracy": 0.97, "pictures": 300},
        "test": {"loss": 0.09, "accuracy": 0.98, "pictures": 50},
        "epochs": 20,
        "best_epoch": 18,
    },
}
MODEL: dict[str, Any] = {"name": "signs", "versions": [VERSION], "aliases": {"stable": 3}}
DATASET: dict[str, Any] = {
    "id": "ds_4k2m9x1b7q",
    "name": "signs",
    "state": "ready",
    "revision": "6f1ed002ab5595859014ebf0951522d9f9b2d5c5b0a5b0d9a0e8f9c2b1d3e4f5",
    "files": 398,
    "classes": ["0", "1"],
    "counts": {"train": {"0": 160, "1": 158}, "validation": {"0": 40, "1": 39}, "test": {"0": 0, "1": 0}},
    "checks": [
        {
            "code": "truncated",
            "severity": "warning",
            "count": 1,
            "examples": ["1/broken.jpg"],
            "message": "Files that end too early, and are left out: 1 of 398.",
            "advice": "They were cut off in a copy or a download: take them from where they are whole.",
        }
    ],
    "problems": [
        {
            "path": "1/broken.jpg",
            "code": "truncated",
            "message": "A picture must be readable to its end; this JPEG file is truncated: it ends too early. "
            "Copy it again from where it is whole.",
            "left_out": True,
        }
    ],
    "created_at": "2026-11-24T09:00:00Z",
}
JOB: dict[str, Any] = {
    "id": "job_8w3n5t0c2r",
    "kind": "train",
    "state": "running",
    "model": "signs",
    "version": None,
    "dataset": DATASET["id"],
    "revision": DATASET["revision"],
    "recipe": {"preset": "fine-tuning", "cut": "block4_pool", "pooling": "avg", "epochs": 20},
    "priority": 0,
    "progress": {
        "phase": "training",
        "epoch": 4,
        "epochs": 20,
        "step": 11,
        "steps": 18,
        "rate": 42.5,
        "eta_seconds": 95.0,
    },
    "metrics": None,
    "result": None,
    "failures": 0,
    "error": None,
    "created_at": "2026-11-24T09:05:00Z",
    "started_at": "2026-11-24T09:05:01Z",
    "finished_at": None,
    "metadata": {},
}
EVENT: dict[str, Any] = {
    "id": 12,
    "type": "epoch",
    "data": {"epoch": 4, "val_loss": 0.28},
    "at": "2026-11-24T09:06:10Z",
}
STREAM = """event: progress
data: {"phase":"training","epoch":4,"epochs":20,"step":18,"steps":18,"rate":42.5,"eta_seconds":95.0}

event: epoch
data: {"id":12,"type":"epoch","data":{"epoch":4,"val_loss":0.28},"at":"2026-11-24T09:06:10Z"}
id: 12

"""
EVALUATION: dict[str, Any] = {
    "loss": 0.09,
    "uncalibrated_loss": 0.11,
    "accuracy": 0.98,
    "accuracy_interval": [0.895, 0.996],
    "pictures": 50,
    "top_k": {"k": 1, "accuracy": 0.98},
    "per_class": [
        {"label": "0", "precision": 1.0, "recall": 0.96, "f1": 0.98, "support": 25},
        {"label": "1", "precision": 0.96, "recall": 1.0, "f1": 0.98, "support": 25},
    ],
    "macro": {"precision": 0.98, "recall": 0.98, "f1": 0.98},
    "confusion_matrix": [[24, 1], [0, 25]],
    "mistakes": [
        {
            "file": "test/0/IMG_1204.JPG",
            "true": "0",
            "predicted": "1",
            "probability_of_true": 0.21,
            "probability_of_predicted": 0.79,
        }
    ],
    "thresholds": [
        {
            "label": "0",
            "best_f1": {"threshold": 0.21, "precision": 0.962, "recall": 1.0, "f1": 0.98},
            "precise": {"threshold": 0.21, "precision": 0.962, "recall": 1.0, "f1": 0.98},
        }
    ],
    "calibration": {
        "ece": 0.012,
        "uncalibrated_ece": 0.034,
        "bins": [{"from": 0.9333, "to": 1.0, "pictures": 44, "confidence": 0.981, "accuracy": 1.0}],
    },
}
REPORT: dict[str, Any] = {
    "history": {"loss": [0.9, 0.3], "accuracy": [0.6, 0.9], "val_loss": [0.8, 0.28], "val_accuracy": [0.7, 0.93]},
    "best_epoch": 2,
    "temperature": 1.31,
    "class_balance": DATASET["counts"],
    "test": EVALUATION,
}
CARD: dict[str, Any] = {
    "format": 1,
    "model": "signs",
    "version": 3,
    "created_at": "2026-11-24T09:30:00Z",
    "cut": "block5_pool",
    "tail": [],
    "head": {"pooling": "avg", "hidden_units": [], "batch_norm": False, "dropout": 0.0, "classes": 2},
    "classes": ["0", "1"],
    "input": {"interpolation": "nearest", "preprocessing": "caffe", "precision": "float32", "pixels": 1},
    "served_precision": "float32",
    "trunk_digest": "d9a27cc1fc7f975ef8cff49180e794ccd7c4bc868ebb49740803b3bbaa8dbefd",
    "parameters": [
        {"name": "predictions/kernel", "shape": [512, 2], "trainable": True, "count": 1024},
        {"name": "predictions/bias", "shape": [2], "trainable": True, "count": 2},
    ],
    "trainable_parameters": 1026,
    "frozen_parameters": 14714688,
    "layers": [
        {
            "part": "trunk",
            "name": "block1_conv1",
            "kind": "convolution",
            "shape": [224, 224, 64],
            "parameters": 1792,
            "trainable": False,
        },
        {
            "part": "head",
            "name": "predictions",
            "kind": "dense, softmax",
            "shape": [2],
            "parameters": 1026,
            "trainable": True,
        },
    ],
    "temperature": 1.31,
    "recipe": {"preset": "feature-extraction", "pooling": "avg", "hidden_units": []},
    "dataset": DATASET["id"],
    "dataset_revision": DATASET["revision"],
    "job_id": JOB["id"],
    "metrics": VERSION["metrics"],
}
METRICS = """\
# HELP graft_engine_waiting_pictures Pictures that wait for a place in a batch.
# TYPE graft_engine_waiting_pictures gauge
graft_engine_waiting_pictures 3.0
# HELP graft_engine_rejections_total Predictions that were refused or given up.
# TYPE graft_engine_rejections_total counter
graft_engine_rejections_total{reason="busy"} 12.0
"""
