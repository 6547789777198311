"""`SavedModel`: a trained model with its weights, and data read as for its training."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import Dataset, Reading
from gpucnn.data.dataset import match_classes
from gpucnn.errors import DataError, DivergedError, DtypeError, ShapeError, UsageError, expect
from gpucnn.nn import Module
from gpucnn.nn.arguments import is_whole
from gpucnn.nn.room import room_for
from gpucnn.training import checkpoint, described, evaluation
from gpucnn.training.code import Code, network
from gpucnn.training.config import TrainConfig
from gpucnn.training.description import Description, config_of, no_model
from gpucnn.training.divergence import first_bad
from gpucnn.training.metrics import get_loss
from gpucnn.training.report import Report
from gpucnn.training.run import Run, find_weights, run_of
from gpucnn.training.run_data import LabeledPart, RunData, joined, no_labels
from gpucnn.training.used import used_parts

_YES_OR_NO = "binary_cross_entropy"  # the loss of a single output that is a probability
_OTHERS = "use weights of another run, or train again with a lower --lr"


@dataclass(frozen=True, eq=False)
class SavedModel(RunData):
    """A model from a weights file; make one with `load`.

    Args:
        model: built, with the weights, in evaluation mode.
        path: of the weights file.
        config: of its run; for a file outside of a run, the options in its description.
        description: the metadata of the file.
    """

    model: Module
    path: Path
    config: TrainConfig
    description: Description

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        weights: str | None = None,
        device: str = "cpu",
        *,
        model: str | None = None,
        trust_code: bool = False,
    ) -> SavedModel:
        """The model in a run directory, or in a weights file.

        Args:
            path: a run directory or a .safetensors file.
            weights: "last" or "best"; for a run directory. By default the best of a run with
                `patience`, and otherwise the last.
            device: where it computes.
            model: the file and function of the user's own model, as "my_net.py:build".
            trust_code: whether to run the copy of that file in the run.

        Raises:
            UsageError: `weights` is neither, the run's config.toml is not acceptable, or its model
                is code that is neither given nor trusted.
            DataError: it is missing, cut short, altered, or not of gpucnn.
            DivergedError: a weight is not finite.
            WeightsMismatchError: the weights are not of the model that the run's config.toml names.
        """
        if weights not in ("last", "best", None):
            raise UsageError(f"there are no {weights!r} weights", fix='choose "last" or "best"')
        file = find_weights(path, weights)
        folder = run_of(file)
        arrays, metadata = checkpoint.load_weights(file)
        description = Description.of(metadata, file)
        if bad := first_bad(arrays):
            raise DivergedError(f"{file} cannot be used", cause=f"{bad} is not finite", fix=_OTHERS)
        config = config_of(metadata, file) if folder is None else Run(folder).config()
        shape, classes = description.image_shape, len(description.class_names)
        code = None
        if description.code_sha256 is not None:
            code = _code(model, config, Run(folder or file.parent), trust_code, description)
        elif model is not None or (description.network is None and Code.parse(config.model)):
            raise UsageError(
                f"the weights in {file} are of {metadata.get('model') or 'the network in it'},"
                " a model of gpucnn's own",
                cause=f"{model or config.model} is the code of another model",
                fix="leave out --model" if model else "put config.toml back as it was",
            )
        with room_for(arrays):
            if description.network is not None:
                built = described.build(description.network, shape, file, device)
            else:
                made = code.build(shape, classes) if code else network(config.model, shape, classes)
                try:
                    built = made.build(shape, device=device)
                except ShapeError as error:
                    raise no_model(file, error.message) from error
        built.load_state_dict(arrays)
        outputs = evaluation.count_outputs(built, shape)
        if outputs != classes:
            raise no_model(file, f"it has {outputs} outputs for {classes} classes")
        return cls(built.eval(), file, config, description)

    @property
    def class_names(self) -> list[str]:
        """The classes that the model answers; of a single output two, no and yes."""
        names = self.description.class_names
        if not self._says_yes_or_no:
            return names
        # By default an output is named by a number: that of the output, or of the class.
        return ["0", "1"] if names[0] in ("0", "1") else [f"not {names[0]}", *names]

    @property
    def _says_yes_or_no(self) -> bool:
        """Whether it has a single output, the probability of the class of that name."""
        return len(self.description.class_names) == 1 and self.config.loss == _YES_OR_NO

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.description.image_shape

    def dataset(
        self,
        name: str | None = None,
        split: str | None = None,
        data_dir: str | None = None,
        reading: Reading | None = None,
    ) -> LabeledPart:
        """Labeled data to evaluate on, the classes matched to those of the model by name.

        Args:
            name, data_dir, reading: see `find`.
            split: "train", "validation", "test", or "all", everything with labels. By default the
                test part if there is one with labels, otherwise all.

        Raises:
            DataError: as `find`; there is no such part, or it has no labels, or a class that the
                model does not know.
            UsageError: a name is needed.
        """
        part = self._part(name, split, data_dir, reading)
        self.check_shape(part.dataset.images, part.dataset.name)
        dataset, matched = self._matched(part.dataset)
        notes = [*part.notes, matched] if matched else part.notes
        return part._replace(dataset=dataset, notes=notes)

    def parts(
        self,
        name: str | None = None,
        data_dir: str | None = None,
        reading: Reading | None = None,
    ) -> dict[str, LabeledPart]:
        """All labeled parts as of `dataset`, by the name of the split.

        They are split as in the training if they are its data, into "train", "validation" and
        "test", as far as the training used them: with `overfit_batches` into "train" alone. Other
        data are one part, "all".

        Raises:
            DataError, UsageError: as `dataset`.
        """
        read = self._read(name, data_dir, reading)
        splits = used_parts(read.splits, self.config)
        if self.config.overfit_batches is not None:
            splits.pop("test", None)  # these are the images to train on
        if not read.own:
            splits = {
                "all": joined([p for p in read.splits.values() if p.labels is not None], read.name)
            }
        found = {}
        for split, part in splits.items():
            if part.labels is not None and len(part):
                self.check_shape(part.images, part.name)
                dataset, _ = self._matched(part)
                found[split] = LabeledPart(dataset, split, read.text, read.notes(split))
        return found

    def evaluate(self, dataset: Dataset | LabeledPart) -> dict[str, float]:
        """{"loss", "accuracy"} on a data set; arguments and errors are those of `report`."""
        report = self.report(dataset)
        return {"loss": report.loss, "accuracy": report.accuracy}

    def report(self, dataset: Dataset | LabeledPart) -> Report:
        """Loss, accuracy and confusion matrix on a data set.

        Args:
            dataset: the result of `dataset`; or images as `predict` takes them, with labels.

        Raises:
            DtypeError: the images are not pixels, as in `predict`.
            DataError: it has no labels, or its images or classes are not those of the model.
            DivergedError: the loss is not finite.
        """
        report = self.judge(dataset).report()
        assert report is not None  # the labels were matched to the classes: they are class ids
        return report

    def judge(self, dataset: Dataset | LabeledPart) -> evaluation.Judged:
        """The outputs for a data set, beside loss and accuracy.

        Arguments and errors are those of `report`. The classes are those of the model.
        """
        if isinstance(dataset, LabeledPart):
            dataset = dataset.dataset
        expect(dataset, Dataset, "the data set", 'give saved.dataset("path"), or a data.Dataset')
        self._check_images(dataset.images, dataset.name)
        dataset, _ = self._matched(dataset)
        outputs: list[Any] = []
        result = evaluation.evaluate(
            self.model,
            dataset,
            loss=self.config.loss,
            scale=self.description.scale,
            offset=self.description.offset,
            outputs=outputs,
        )
        if not math.isfinite(result["loss"]):
            raise self._diverged(f"the loss on {dataset.name}")
        return evaluation.Judged(dataset, outputs, self.config.loss, result)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each class, (N, classes), for images, uint8 (N, C, H, W).

        After training with `mean_squared_error` it is the output, which may be outside [0, 1]; see
        `gpucnn.training.metrics.LOSSES`.

        Raises:
            DtypeError: the images are not uint8; a model that was trained on floats takes those
                alone.
            DataError: they are of another shape.
            DivergedError: the outputs are not finite.
        """
        return self._answers(self._outputs(images))[1]

    def classify(self, images: NDArray[np.uint8], top: int = 3) -> list[list[dict[str, Any]]]:
        """The `top` most probable classes of each image, the most probable first.

        Returns:
            {"label", "probability"} of each; the probability is that of `predict`.

        Raises:
            UsageError: `top` is no number of at least 1. For the others see `predict`.
        """
        if not is_whole(top) or top < 1:
            raise UsageError(f"top is {top!r}", cause="it counts classes", fix="give top=3")
        # By the scores, as in `report`: two probabilities may be rounded to the same number.
        return [
            [
                {"label": self.class_names[k], "probability": float(row[k])}
                for k in np.argsort(-scores, kind="stable")[:top]
            ]
            for scores, row in zip(*self._answers(self._outputs(images)), strict=True)
        ]

    def _outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The outputs (N, K), equal to those of `report` whatever the number of images."""
        self._check_images(images, "this array")
        K = len(self.description.class_names)
        if not len(images):
            return np.zeros((0, K), np.float32)
        dataset = Dataset("the images", images, None, K)
        outputs = evaluation.predict(
            self.model, dataset, self.description.scale, self.description.offset
        )
        if not np.isfinite(outputs).all():
            raise self._diverged("what the model says of the images")
        return outputs

    def _answers(
        self, outputs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The scores by which the classes are ordered, and their probabilities: (N, classes)."""
        with no_grad():
            found = get_loss(self.config.loss).predictions(Tensor(outputs)).numpy()
        if not self._says_yes_or_no:
            return outputs, found
        return np.hstack([-outputs, outputs]), np.hstack([1 - found, found])

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"{what} is not finite",
            cause=f"the weights in {self.path} are finite, but too large",
            fix=_OTHERS,
        )

    def _matched(self, dataset: Dataset) -> tuple[Dataset, str]:
        if dataset.labels is None:
            raise no_labels(dataset.name)
        names, values = self.class_names, self.description.label_values
        if self._says_yes_or_no:
            names, values = _no_and_yes(dataset, names), ["0", "1"]
        try:
            return match_classes(dataset, names, values)
        except DataError as error:
            if self._says_yes_or_no:
                error.fix = (
                    "give data of two classes, and call the one that the model says yes to"
                    f' "{names[1]}"; or import the network again, with its name in --classes'
                    " FILE.txt"
                )
            raise

    def _check_images(self, images: Any, name: str) -> None:
        """Raise an error unless the images are pixels of the shape that the model takes."""
        if not isinstance(images, np.ndarray):
            raise DtypeError(
                f"the images are a {type(images).__name__}",
                cause="they must be a NumPy array, uint8 (N, C, H, W)",
                fix="read pictures with saved.find(path), labeled data with saved.dataset(path)",
            )
        if images.dtype.kind != "f":
            self.require_pixels(f"the images of {name} are {images.dtype}", DtypeError)
        if images.dtype != np.uint8 and not (self.takes_floats and images.dtype.kind == "f"):
            raise DtypeError(
                f"the images are {images.dtype}",
                cause="they are pixels from 0 to 255, which are scaled as in training",
                fix="give uint8: for images in [0, 1], (255 * x).round().astype(numpy.uint8)",
            )
        self.check_shape(images, name)

    def check_shape(self, images: NDArray[Any], name: str) -> None:
        """Raise a DataError if images, of that name, are not of the shape that the model takes."""
        shape = images.shape[1:]
        if shape == self.image_shape:
            return
        fix = "give the kind of images that it was trained on"
        if images.shape == self.image_shape:
            fix = "give one image as x[None]: the first axis counts images"
        elif (1, *shape) == self.image_shape:
            fix = "give x[:, None]: gray images have one channel"
        elif shape and (shape[-1], *shape[:-1]) == self.image_shape:
            fix = "write images.transpose(0, 3, 1, 2): channels come first here"
        raise DataError(
            f"{name} does not fit the model in {self.path}",
            cause=f"it is {images.shape}, the model takes (N, {str(self.image_shape)[1:]}: images,"
            " channels, height, width",
            fix=fix,
        )


def _no_and_yes(dataset: Dataset, names: list[str]) -> list[str]:
    """The names of no and yes: no is the other class of data of two classes."""
    yes = names[1]
    if dataset.classes != 2 or yes not in dataset.class_names:
        return names
    (no,) = (name for name in dataset.class_names if name != yes)
    return [no, yes]


def _code(
    model: str | None, config: TrainConfig, run: Run, trust_code: bool, description: Description
) -> Code:
    """The code of a model: the file that `model` names, or else the copy in its run.

    Raises:
        UsageError: it is given in another form than my_net.py:build, or as `Run.code`.
        DataError: it is not the code that the weights were trained with.
    """
    code = Code.parse(model or config.model)
    if model is None:
        return run.code(code.function if code else "", trust_code, description.code_sha256)
    if code is None:
        raise UsageError(
            "the model is code of its author's",
            fix="give the file and the function as --model my_net.py:build",
        )
    code.require(description.code_sha256)
    return code
