"""Using what a run has saved: its model with the weights in place, and data read as it was."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.autograd import Tensor, no_grad
from gpucnn.data import Dataset, Loader, Reading
from gpucnn.data.dataset import digest, match_classes
from gpucnn.data.found import Found
from gpucnn.data.loading import NAMES, cut, datasets, describe_data, find
from gpucnn.errors import DataError, DivergedError, DtypeError, UsageError
from gpucnn.nn import Module
from gpucnn.training import checkpoint, evaluation
from gpucnn.training.code import Code, network
from gpucnn.training.config import TrainConfig
from gpucnn.training.description import Description, config_of
from gpucnn.training.divergence import first_bad
from gpucnn.training.metrics import LOSSES
from gpucnn.training.report import Report
from gpucnn.training.run import CONFIG, Run

_OTHERS = "use weights of another run, or train again with a lower --lr"


class LabelledPart(NamedTuple):
    """Data to evaluate on.

    Attributes:
        dataset: with the class ids of the model.
        split: "train", "validation", "test" or "all".
        text: how the data were read, in words.
        notes: what else the user should know.
    """

    dataset: Dataset
    split: str
    text: str
    notes: Sequence[str]


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A model out of a weights file; make one with `load`.

    Args:
        model: built, with the weights, in evaluation mode.
        path: of the weights file.
        config: of its run; for a file that lies elsewhere, what the file itself says.
        description: what the file says of itself.
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
            model: the file and function of a model of one's own, as "my_net.py:build".
            trust_code: whether the copy of that file which lies in the run may be run.

        Raises:
            UsageError: `weights` is neither, the run's config.toml is not acceptable, or its model
                is code that is neither given nor trusted.
            DataError: it is missing, cut short, altered, or not of gpucnn.
            DivergedError: a weight is not finite.
            WeightsMismatchError: the weights are not of the model that the run's config.toml names.
        """
        if weights not in ("last", "best", None):
            raise UsageError(f"there are no {weights!r} weights", fix='choose "last" or "best"')
        given = Path(path)
        if given.is_file():
            file, folder = given, _run_of(given)
        else:
            run = Run.open(given)
            file, folder = run.weights_file(weights), run.path
        arrays, metadata = checkpoint.load_weights(file)
        description = Description.of(metadata, file)
        if bad := first_bad(arrays):
            raise DivergedError(f"{file} is of no use", cause=f"{bad} is not finite", fix=_OTHERS)
        config = config_of(metadata, file) if folder is None else Run(folder).config()
        shape, classes = description.image_shape, len(description.class_names)
        if description.code_sha256 is not None:
            code = Code.parse(model or config.model)
            if model is None:
                code = Run(folder or file.parent).code(code.function if code else "", trust_code)
            model = str(_checked(code, description.code_sha256))
        elif model is not None or Code.parse(config.model):
            raise UsageError(
                f"the weights in {file} are of {metadata.get('model')}, a model of gpucnn's own",
                cause=f"{model or config.model} is the code of another",
                fix="leave out --model" if model else "put config.toml back as it was",
            )
        built = network(model or config.model, shape, classes).build(shape, device=device)
        built.load_state_dict(arrays)
        outputs = evaluation.count_outputs(built, shape)
        if outputs != classes:
            raise DataError(
                f"{file} describes no model",
                cause=f"it has {outputs} outputs for {classes} classes",
            )
        return cls(built.eval(), file, config, description)

    @property
    def class_names(self) -> list[str]:
        return self.description.class_names

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.description.image_shape

    def find(
        self,
        name: str | Path | None = None,
        data_dir: str | None = None,
        reading: Reading | None = None,
        *,
        labelled: bool = False,
    ) -> Found:
        """Data read as those were that the model was trained on: images as the model takes them.

        Args:
            name: of a data set, or a path (a `Path` is never a name); by default what it was
                trained on.
            data_dir: for a named data set, the only place to look in.
            reading: what is said of them in place of what the run says.
            labelled: whether the labels matter.

        Raises:
            DataError: as `gpucnn.data.load`; or it is not known how a picture becomes an image.
            UsageError: a name is needed.
        """
        known = self.description.reading.replace(skip_broken=False)
        if name is None:
            name, data_dir = self._own_data(data_dir)
            known = known.replace(skip_broken=self.config.skip_broken)
        given = reading or Reading()
        found = find(name, data_dir, given, known, labelled)
        if found.noun == "pictures" and given.over(known).convert is None:
            self._refuse_gray(name)
        return found

    def dataset(
        self,
        name: str | None = None,
        split: str | None = None,
        data_dir: str | None = None,
        reading: Reading | None = None,
    ) -> LabelledPart:
        """Labelled data to evaluate on, the classes matched to those of the model by name.

        Args:
            name, data_dir, reading: see `find`.
            split: "train", "validation", "test", or "all", everything with labels. By default the
                test part if there is one with labels, otherwise all.

        Raises:
            DataError: there is no such part, it has no labels, it has classes that the model does
                not know, or as `find`.
        """
        own = name is None
        found = self.find(name, data_dir, reading, labelled=True)
        name = name or self.config.data
        parts = datasets(found, name)
        notes = [*found.notes]
        labelled = {role: part for role, part in parts.items() if part.labels is not None}
        split = split or ("test" if "test" in labelled else "all")
        if own or self._is_own(name):
            notes += self._notes_of_own(parts, name, split)
        splits = cut(parts, name, self.config.validation) if own else parts
        if split == "all":
            chosen = _joined(list(labelled.values()), name)
        elif split in splits and "all" not in splits:
            chosen = splits[split]
        else:
            raise DataError(
                f"{name} has no {split} set",
                cause=None if own else "it is not the data of the run, which held images out",
                fix="choose another part with --split, or all",
            )
        self.check_shape(chosen.images, chosen.name)
        dataset, matched = self._matched(chosen)
        notes += [matched] if matched else []
        return LabelledPart(dataset, split, describe_data(found, parts), notes)

    def _is_own(self, name: str) -> bool:
        """Whether data are those that the model was trained on, by their place."""
        return name == self.config.data or (
            self.config.data not in NAMES
            and os.path.abspath(name) == os.path.abspath(self.config.data)
        )

    def _notes_of_own(self, parts: dict[str, Dataset], name: str, split: str) -> list[str]:
        """What is to be said of an evaluation on the data that the model was trained on."""
        notes = []
        splits = cut(parts, name, self.config.validation)
        used = [splits[role] for role in ("train", "validation") if role in splits]
        expected = self.description.data_sha256
        if expected is not None and digest(used) != expected:
            notes.append("the data have changed since the model was trained on them")
        if split in ("all", "train"):
            notes.append("the model was trained on these images, or on some of them")
        return notes

    def evaluate(self, dataset: Dataset) -> dict[str, float]:
        """{"loss", "accuracy"} on a data set; `report` says more, and the same errors."""
        report = self.report(dataset)
        return {"loss": report.loss, "accuracy": report.accuracy}

    def report(self, dataset: Dataset) -> Report:
        """Loss and accuracy on a data set, and what was taken for what.

        Raises:
            DataError: it has no labels, or its images or classes are not those of the model.
            DivergedError: the loss is not finite.
        """
        self.check_shape(dataset.images, dataset.name)
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
        answers = np.concatenate(outputs).argmax(axis=1)
        assert dataset.labels is not None
        return Report.of(dataset.labels, answers, self.class_names, **result)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the model says of each class, (N, classes), for images, uint8 (N, C, H, W).

        They are probabilities; after training with `mean_squared_error` the outputs, which may lie
        outside [0, 1]. See `gpucnn.training.metrics.LOSSES`.

        Raises:
            DtypeError: the images are not uint8.
            DataError: they are of another shape.
            DivergedError: the outputs are not finite.
        """
        return self._predictions(self._outputs(images))

    def classify(self, images: NDArray[np.uint8], top: int) -> list[list[dict[str, Any]]]:
        """For each image the `top` classes that `predict` puts highest, highest first.

        Returns:
            {"label", "probability"} of each; the second is what `predict` gives.
        """
        outputs = self._outputs(images)
        # Ordered by the outputs, as `report` is: of probabilities two may be rounded to one number.
        return [
            [
                {"label": self.class_names[k], "probability": float(row[k])}
                for k in np.argsort(-scores, kind="stable")[:top]
            ]
            for scores, row in zip(outputs, self._predictions(outputs), strict=True)
        ]

    def _outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The outputs (N, classes), which batches do not change: those that `report` looks at."""
        if images.dtype != np.uint8:
            raise DtypeError(
                f"the images are {images.dtype}",
                cause="they are pixels from 0 to 255, which are scaled as in training",
                fix="give uint8: for images in [0, 1], (255 * x).round().astype(numpy.uint8)",
            )
        dataset = Dataset("the images", images, None, len(self.class_names))
        self.check_shape(images, dataset.name)
        if not len(images):
            return np.zeros((0, len(self.class_names)), np.float32)
        loader = Loader(
            dataset,
            evaluation.BATCH_SIZE,
            backends.get(self.model.device),
            shuffle=False,
            scale=self.description.scale,
            offset=self.description.offset,
        )
        outputs = evaluation.predict(self.model, loader)
        if not np.isfinite(outputs).all():
            raise self._diverged("what the model says of the images")
        return outputs

    def _predictions(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        with no_grad():
            return LOSSES[self.config.loss].predictions(Tensor(outputs)).numpy()

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"{what} is not finite",
            cause=f"the weights in {self.path} are finite, but too large",
            fix=_OTHERS,
        )

    def _matched(self, dataset: Dataset) -> tuple[Dataset, str]:
        if dataset.labels is None:
            raise _no_labels(dataset.name)
        return match_classes(dataset, self.class_names, self.description.label_values)

    def check_shape(self, images: NDArray[Any], name: str) -> None:
        """Raise a DataError if images, of that name, are not of the shape that the model takes."""
        shape = images.shape[1:]
        if shape == self.image_shape:
            return
        raise DataError(
            f"{name} does not fit the model in {self.path}",
            cause=f"images {shape}, the model takes {self.image_shape} (channels, height, width)",
            fix="write images.transpose(0, 3, 1, 2): channels come first here"
            if (shape[-1], *shape[:-1]) == self.image_shape
            else "give the kind of images that it was trained on",
        )

    def _own_data(self, data_dir: str | None) -> tuple[str, str | None]:
        """What it was trained on: the name, and the folder to look in."""
        name = self.config.data
        if self.description.data is None and _run_of(self.path) is None:
            raise UsageError(
                f"{self.path} does not say where the data lie that it was trained on",
                cause="it is not in the directory of its run",
                fix="give them with --data",
            )
        return name, data_dir or self.config.data_dir

    def _refuse_gray(self, name: str | Path) -> None:
        """Raise a DataError for pictures, if they may be dark on light or light on dark."""
        channels, height, width = self.image_shape
        if channels != 1:
            return
        read = f": {self.description.read}" if self.description.read else ""
        raise DataError(
            f"it is not known how a picture such as {name} becomes an image for this model",
            cause=f"the model was trained on gray arrays, dark on light or light on dark{read}",
            fix=f"give --convert none (gray, scaled to {height}x{width}, otherwise as it is)"
            " or --convert mnist (a digit, cut out, centered, light on dark)",
        )


def _run_of(file: Path) -> Path | None:
    """The directory of the run that a weights file lies in; None if it lies elsewhere."""
    folder = file.absolute().parent.parent
    in_run = file.absolute().parent.name == "weights" and (folder / CONFIG).is_file()
    return file.parent.parent if in_run else None


def _checked(code: Code | None, sha256: str) -> Code:
    """The code, if it is what the weights were trained with.

    Raises:
        UsageError: it is given in another form than my_net.py:build.
        DataError: it is another.
    """
    if code is None:
        raise UsageError(
            "the model is code of its author's",
            fix="give the file and the function as --model my_net.py:build",
        )
    if code.sha256 != sha256:
        raise DataError(
            f"{code.file} is not the code that the weights were trained with",
            cause=f"its SHA-256 is {code.sha256}, not {sha256}",
            fix="give the file as it was; a run keeps a copy of it, which --trust-code uses",
        )
    return code


def _joined(parts: list[Dataset], name: str) -> Dataset:
    """Several parts of a data set as one."""
    if not parts:
        raise _no_labels(name)
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return Dataset(
        name,
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts if part.labels is not None]),
        first.classes,
        first.class_names,
        first.label_values,
        [part.item(k) for part in parts for k in range(len(part))],
    )


def _no_labels(name: str) -> DataError:
    return DataError(f"{name} has no labels to compare with", fix="use gpucnn predict")
