"""The card of a trained version."""

import time

from graft.registry import ModelCard, layer_table
from graft.training.evaluate import Evaluations
from graft.training.fit import Fitted
from graft.training.order import Subject
from graft.training.publish import parameter_table
from graft.training.recipe import Recipe
from graft.vgg16.layers import LAST, between, trainable_parameters
from graft.vgg16.weights import TRUNK_DIGEST


def card_of(
    job: str,
    model: str,
    version: int,
    subject: Subject,
    recipe: Recipe,
    fitted: Fitted,
    evaluations: Evaluations,
    temperature: float,
) -> ModelCard:
    classes = subject.manifest.classes
    summary = {
        name: {key: result[key] for key in ("loss", "accuracy", "pictures")} for name, result in evaluations.items()
    }
    head = recipe.head(len(classes))
    layers, trained = layer_table(recipe.cut, head), trainable_parameters(recipe.cut, head)
    return ModelCard(
        model=model,
        version=version,
        created_at=time.time_ns() // 1_000_000,
        cut=recipe.cut,
        tail=tuple(layer.name for layer in between(recipe.cut, LAST)),
        head=head,
        classes=classes,
        input=recipe.input_key,
        trunk_digest=TRUNK_DIGEST,
        parameters=parameter_table(fitted.weights),
        trainable_parameters=trained,
        frozen_parameters=sum(row.parameters for row in layers) - trained,
        layers=layers,
        temperature=temperature,
        recipe=recipe.model_dump(mode="json"),
        dataset=subject.dataset,
        dataset_revision=subject.manifest.revision,
        job_id=job,
        metrics={**summary, "epochs": len(fitted.history["loss"]), "best_epoch": fitted.best_epoch},
    )
