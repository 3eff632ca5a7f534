"""What the predict routes take and answer. Inside, the answers are graft.engine's; `of` turns them into these."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from app import examples
from app.schemas import TEXT
from graft.engine import answers
from graft.vgg16.layers import Pooling


class Instance(BaseModel):
    """One picture in JSON."""

    model_config = ConfigDict(extra="forbid")

    b64: Annotated[str, Field(description="The picture's bytes as base64, plain or as a data URL.")]
    filename: Annotated[str | None, Field(pattern=TEXT, description="For the answer.")] = None


class Instances(BaseModel):
    model_config = ConfigDict(extra="forbid")

    instances: Annotated[list[Instance], Field(min_length=1)]


class Label(BaseModel):
    label: str
    index: int
    probability: float


class ImageNetLabel(Label):
    wnid: str


class PicturePrediction(BaseModel):
    """`top`: the likeliest labels, likeliest first. `filename` is null for a raw body."""

    filename: str | None
    top: list[ImageNetLabel] | list[Label]


def _label(guess: answers.Guess) -> Label:
    values = {"label": guess.label, "index": guess.index, "probability": guess.probability}
    return Label(**values) if guess.wnid is None else ImageNetLabel(**values, wnid=guess.wnid)


class Prediction(BaseModel):
    """One entry for each picture, in the order in which they came."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.PREDICTION]})

    model: str
    version: int
    predictions: list[PicturePrediction]

    @classmethod
    def of(cls, predicted: answers.Prediction) -> Self:
        entries = [
            PicturePrediction(filename=entry.filename, top=[_label(guess) for guess in entry.top])
            for entry in predicted.entries
        ]
        return cls(model=predicted.model, version=predicted.version, predictions=entries)


class Predictions(BaseModel):
    """One entry for each model, in the order in which they were asked."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.PREDICTIONS]})

    results: list[Prediction]


class Embedding(BaseModel):
    filename: str | None
    embedding: list[float]


class Embeddings(BaseModel):
    """One entry for each picture, in the order in which they came. `shape`: pictures, and numbers of each.

    The example is cut short.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [examples.EMBEDDINGS]})

    layer: str
    pooling: Pooling
    shape: tuple[int, int]
    embeddings: list[Embedding]

    @classmethod
    def of(cls, embedded: answers.Embeddings) -> Self:
        rows = zip(embedded.filenames, embedded.vectors.tolist(), strict=True)
        return cls(
            layer=embedded.layer,
            pooling=embedded.pooling,
            shape=embedded.vectors.shape,
            embeddings=[Embedding(filename=filename, embedding=row) for filename, row in rows],
        )
