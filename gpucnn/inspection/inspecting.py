"""`inspect`: what is wrong with a trained model, or with a training that is running."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import Dataset, Loader, Reading, Splits
from gpucnn.errors import DataError, GpucnnError, UsageError, expect
from gpucnn.inspection import checks
from gpucnn.inspection.activations import Activations
from gpucnn.inspection.data import Outputs, compute_outputs
from gpucnn.inspection.evidence import Evidence
from gpucnn.inspection.finding import Context
from gpucnn.inspection.health import Health, layers_of
from gpucnn.inspection.images import largest_input
from gpucnn.inspection.updates import LayerStep, StepMeter
from gpucnn.inspection.weights import CHECK as WEIGHTS
from gpucnn.nn import Module
from gpucnn.nn.state import copy_in, copy_out, counters
from gpucnn.training import Run, SavedModel, Trainer, checkpoint
from gpucnn.training.evaluation import class_ids, count_outputs, require_outputs
from gpucnn.training.metrics import Loss, compute_loss, get_loss
from gpucnn.training.run import find_weights, run_of
from gpucnn.training.run_data import LabeledPart

_IMAGES = 64  # for which the gradients of a model without a run are computed
_TRIES = 3  # readings of a checkpoint that a training may replace meanwhile
_NAMES = {"all": "other"}  # of parts of data that are not those of the training
_OTHER = "give a run directory, a SavedModel, or a built Module and a data set"


def inspect(
    model: SavedModel | Module | Run | str | os.PathLike[str],
    dataset: Dataset | None = None,
    *,
    data: str | None = None,
    data_dir: str | None = None,
    reading: Reading | None = None,
    weights: str | None = None,
    device: str = "cpu",
    code: str | None = None,
    trust_code: bool = False,
    loss: str = "softmax_cross_entropy",
) -> Health:
    """The health of a trained model; nothing that it is given is changed, and no file is written.

    Of a run that is training now, the last checkpoint is inspected.

    Args:
        model: a run or its directory, a .safetensors file of one, or a `SavedModel`; or a built
            module, as one of `gpucnn.keras`.
        dataset: for a module, the images that it was trained on, as the model takes them or uint8
            pixels, which are divided by 255; with class ids as labels.
        data, data_dir, reading: for a run, where its data are now, as in `SavedModel.dataset`.
        weights, device, code, trust_code: see `SavedModel.load`, where `code` is `model`.
        loss: for a module, the loss that it was trained with.

    Raises:
        UsageError: `model` is none of these.
        DataError: there is no run, or its weights cannot be read.
    """
    if isinstance(model, Module):
        return _inspect_module(model, dataset, loss)
    if dataset is not None:
        raise UsageError(
            "a data set is given for a run", fix="give data=PATH, which is read as in its training"
        )
    expect(model, (SavedModel, Run, str, os.PathLike), "the model", _OTHER)
    if not isinstance(model, SavedModel):
        path = model.path if isinstance(model, Run) else model
        file = find_weights(path, weights)
        arrays, description = checkpoint.load_weights(file)
        alone = Evidence(weights=arrays, steps=1)
        if not all(np.isfinite(array).all() for array in arrays.values()):
            return _weights_only(file, alone, "the weights are not finite")
        if "keras" in description:
            why = (
                "a file of gpucnn.keras does not say how its data were read; in Python:"
                " gpucnn.inspection.inspect(gpucnn.keras.load_model(FILE), dataset)"
            )
            return _weights_only(file, alone, why)
        model = SavedModel.load(path, weights, device, model=code, trust_code=trust_code)
    return _inspect_saved(model, data, data_dir, reading)


def _weights_only(file: Path, evidence: Evidence, why: str) -> Health:
    """The health by the arrays of a file alone."""
    folder = run_of(file)
    if folder is not None:
        config = Run(folder).config()
        rate = config.resolved("cpu").learning_rate
        evidence.context = Context(config, Run(folder), rate)
    unchecked = {check.name: why for check in checks.CHECKS if check is not WEIGHTS}
    findings = [*WEIGHTS.find(evidence)]
    return Health(str(folder or file), None, findings, [WEIGHTS.name], unchecked, [], False)


def _inspect_saved(
    saved: SavedModel, data: str | None, data_dir: str | None, reading: Reading | None
) -> Health:
    folder = run_of(saved.path)
    run = None if folder is None else Run(folder)
    config = saved.config
    _, description = checkpoint.load_weights(saved.path)
    rate = config.resolved(saved.model.device).learning_rate if run else None
    evidence = Evidence(
        Context(config, run, rate),
        steps=description.get("step", 1),
        diverged=_divergence(run) if run else None,
        weights=saved.model.state_dict(),
        model=saved.model,
        class_names=saved.class_names,
        loss=config.loss,
        records=_epochs(run) if run else None,
        missing={} if run else {"records": "the file is in no run, so its epochs are not known"},
    )
    found: dict[str, LabeledPart] = {}
    try:
        found = saved.parts(data, data_dir, reading)
    except (DataError, UsageError) as error:
        if data is not None or data_dir is not None:
            raise
        evidence.missing["data"] = error.reason
    parts = {split: part.dataset for split, part in found.items()}
    scale, offset = saved.description.scale, saved.description.offset
    looked_at = _look(evidence, parts, scale, offset, saved.model)
    if run is None:
        evidence.missing["layers"] = "the file is in no run, so there is no state of its optimizer"
    elif evidence.trained is None:
        evidence.missing["layers"] = evidence.missing["trained"]
    else:
        _measure_step(evidence, run, saved, parts)
    name = str(folder or saved.path)
    cure = f"gpucnn inspect {shlex.quote(name)} --data PATH" if "data" in evidence.missing else ""
    # The part that is held out, if any is: a note tells of images that were not.
    last = [*found.values()][-1] if found else None
    return replace(
        _health(name, evidence, looked_at),
        epoch=saved.description.epoch,
        cure=cure,
        saved=saved,
        data=last.text if last else "",
        notes=last.notes if last else (),
    )


def _divergence(run: Run) -> tuple[str, str] | None:
    """The message and the cause of the error that ended a run, if its loss was not finite."""
    outcome = run.outcome()
    if outcome.get("reason") != "diverged":
        return None
    return str(outcome.get("message") or "the loss is not finite"), str(outcome.get("cause") or "")


def _epochs(run: Run) -> list[dict[str, Any]]:
    """The records of the epochs; in a file that was changed, one may lack its accuracy."""
    return [record for record in run.records() if record.get("accuracy") is not None]


def _inspect_module(model: Module, dataset: Dataset | None, loss: str | Loss) -> Health:
    from gpucnn.keras.base import Base  # not before: most models are none of its

    model.require_built()
    forward: Any = model
    if isinstance(model, Base) and model.compiled is not None:
        forward, loss = model.for_loss(), model.compiled.loss.function
    evidence = Evidence(
        steps=1,
        weights=model.state_dict(),
        model=model,
        loss=loss,
        missing={
            "layers": "no data set is given",
            "records": "a model without a run has no record of its epochs",
            "data": "no data set is given",
        },
    )
    parts: dict[str, Dataset] = {}
    if dataset is not None:
        expect(dataset, Dataset, "the data set", "give one part, such as splits.train")
        if dataset.labels is None or dataset.labels.dtype.kind != "i" or not len(dataset):
            raise UsageError(
                f"{dataset.name} has no class ids to compare with",
                fix="give a data set of at least one image, with integers as labels",
            )
        if dataset.images.dtype not in (np.uint8, np.float32):
            dataset = replace(dataset, images=dataset.images.astype(np.float32))
        parts["train"] = dataset
        require_outputs(model, dataset, get_loss(loss).name)
        outputs = count_outputs(model, dataset.image_shape)
        if outputs > max(dataset.classes, 2) or class_ids(dataset, outputs) is None:
            raise UsageError(
                f"the model has {outputs} output{'s' * (outputs != 1)} for"
                f" {dataset.classes} classes of {dataset.name}",
                cause="each output is for a class: no autoencoder and no regression can be"
                " inspected",
                fix=f"give the last layer {dataset.classes} outputs",
            )
    scale = 1 / 255 if dataset is not None and dataset.holds_pixels else 1.0
    looked_at = _look(evidence, parts, scale, 0.0, forward)
    if dataset is not None:
        _measure_gradients(evidence, parts["train"], scale, forward)
    return _health(model.display_name, evidence, looked_at)


def _look(
    evidence: Evidence, parts: dict[str, Dataset], scale: float, offset: float, forward: Any
) -> Outputs | None:
    """Run the model on the parts of the data; returns the outputs on images held out, or else.

    If images are held out for the validation and for the test, these are of the validation.

    The layers are measured on the training images, or else on those that there are.
    """
    model, missing = evidence.model, evidence.missing
    assert model is not None
    why = missing.get("data", "the data are not those of the training")
    missing |= dict.fromkeys(("activations", "images", "labels", "trained", "held_out"), why)
    if parts:
        missing["held_out"] = "there are no images beside those of the training"
    looked_at = None
    for name in ("train", "validation", "test", "all"):
        if name not in parts:
            continue
        compute: Any = no_grad(lambda images: forward(Tensor(images)))
        if evidence.activations is None:
            evidence.activations = Activations(model, forward)
            compute = evidence.activations.add
        outputs = compute_outputs(model, parts[name], evidence.loss, scale, offset, compute)
        evidence.class_names = outputs.class_names
        if name == "train":
            evidence.labels, evidence.trained = parts[name].labels, outputs.result("training")
            evidence.images = parts[name].images
            evidence.largest = largest_input(parts[name].images, scale, offset)
        elif evidence.held_out is None:
            evidence.held_out = outputs.result(_NAMES.get(name, name))
        else:
            evidence.tested = outputs.result(name)
            continue
        looked_at = outputs
    return looked_at


def _measure_gradients(evidence: Evidence, dataset: Dataset, scale: float, forward: Any) -> None:
    """Compute the gradients for some images, in evaluation mode; the model stays as it is."""
    model = evidence.model
    assert model is not None
    backend = backends.get(model.device)
    some = np.unique(np.linspace(0, len(dataset) - 1, _IMAGES).astype(int))
    loader = Loader(dataset.subset(some), len(some), backend, shuffle=False, scale=scale)
    before = [(parameter, parameter.grad) for parameter in model.parameters()]
    try:
        images, labels, *_ = loader.batch(0, 0)
        with backend.quiet_device(), model.evaluating():
            loss = compute_loss(evidence.loss, forward(Tensor(images)), labels)
            for parameter, _ in before:
                parameter.zero_grad()
            loss.backward()
        found = StepMeter(model)()
        evidence.layers = {path: replace(layer, update=None) for path, layer in found.items()}
    except GpucnnError as error:
        evidence.missing["layers"] = error.reason
    finally:
        for parameter, gradient in before:
            parameter.grad = gradient


def _measure_step(
    evidence: Evidence, run: Run, saved: SavedModel, parts: dict[str, Dataset]
) -> None:
    """Do one step of the run with its highest learning rate; the model is then put back."""
    config = replace(saved.config, device=saved.model.device, threads=None, checkpoint_every=None)
    model = saved.model
    before, steps = model.state_dict(), copy_out(counters(model))
    try:
        trainer = Trainer(model, Splits(parts["train"], parts.get("validation")), config)
        trainer.restore(_read_checkpoint(run), longer=True)
        evidence.steps, evidence.planned = trainer.step, trainer.total_steps
        evidence.layers = _step(trainer)
    except GpucnnError as error:
        evidence.missing["layers"] = error.reason
    finally:
        model.load_state_dict(before)
        copy_in(counters(model), steps, "the counters")
        for parameter in model.parameters():
            parameter.zero_grad()


def _step(trainer: Trainer) -> dict[str, LayerStep]:
    """The next step of a training, on the first batch of an epoch."""
    optimizer, model = trainer.optimizer, trainer.model
    optimizer.set_learning_rate(float(trainer.learning_rates.max()))
    images, labels, *others = trainer.loader.batch(trainer.epochs_done, 0)
    with trainer.backend.quiet_device(), model.training_mode():
        loss = compute_loss(trainer.loss, trainer.forward(Tensor(images)), labels, *others)
        optimizer.zero_grad()
        loss.backward()
    meter = StepMeter(model)
    optimizer.step()
    return meter()


def _read_checkpoint(run: Run) -> checkpoint.Checkpoint:
    """The last checkpoint, without the lock: a training may replace it at any moment."""
    for _ in range(_TRIES - 1):
        try:
            return checkpoint.read(run.weights)
        except DataError:
            continue
    return checkpoint.read(run.weights)


def _health(name: str, evidence: Evidence, looked_at: Outputs | None) -> Health:
    checked = checks.run(evidence)
    return Health(
        name,
        None,
        checked.findings,
        checked.made,
        checked.unchecked,
        layers_of(evidence),
        len(checked.made) > len(checked.lacking),
        "",
        [each for each in (evidence.trained, evidence.held_out, evidence.tested) if each],
        looked_at.most_wrong() if looked_at else (),
        looked_at.dataset if looked_at else None,
    )
