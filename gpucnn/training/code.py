"""The user's own network: a function in a Python file, of which a run keeps a copy."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from gpucnn import files, models
from gpucnn.errors import DataError, GpucnnError, UsageError, cause_of, choose
from gpucnn.nn import Module
from gpucnn.quoting import quoted
from gpucnn.training.described import MADE, for_classes, is_described

COPY = "model.py"  # its name in the directory of a run
_MODULE = "gpucnn_model_"  # prefix of the names of the modules that the files become


@dataclass(frozen=True)
class Code:
    """The user's own network: a function in a Python file, given as ``my_net.py:build``.

    The function takes `image_shape`, (C, H, W), and the number of `classes`, and returns a `Module`
    with one logit for each class. Loading it runs the file.

    Args:
        file: the Python file.
        function: the name of the function in it.
    """

    file: Path
    function: str

    @classmethod
    def parse(cls, text: str) -> Code | None:
        """The file and function in ``my_net.py:build``; None if the text is not of that form."""
        found = re.fullmatch(r"(.+\.py):([^\W\d]\w*)", text)
        return cls(Path(found[1]), found[2]) if found else None

    @staticmethod
    def form(text: str) -> str:
        """The form of ``--model`` for the user's own network, with the names in `text` if any."""
        file, colon, function = text.partition(":")
        meant = file if colon or file.endswith(".py") else ""
        file = meant.removesuffix(".py") or "my_net"
        function = function if function.isidentifier() else "build"
        return f"a function in a Python file: {file}.py:{function}"

    def __str__(self) -> str:
        return f"{self.file}:{self.function}"

    @cached_property
    def source(self) -> bytes:
        """The source as it was at the first access.

        Raises:
            UsageError: the file cannot be read.
        """
        try:
            return files.read(self.file)
        except OSError as error:
            raise UsageError(
                f"{self.file} cannot be read",
                cause=cause_of(error),
                fix="give the file and the function as --model my_net.py:build",
            ) from error

    @property
    def sha256(self) -> str:
        """SHA-256 of the source, in hexadecimal digits."""
        return hashlib.sha256(self.source).hexdigest()

    def require(self, sha256: object) -> None:
        """Check that it is the code of a digest, which weights or a run have.

        `source` does not change afterwards, so `build` runs what was checked.

        Raises:
            DataError: it is other code, or no digest is known (None).
        """
        if self.sha256 != sha256:
            known = "none is recorded" if sha256 is None else f"not {quoted(sha256)}"
            raise DataError(
                f"{self.file} is not the code that the weights were trained with",
                cause=f"its SHA-256 is {self.sha256}, {known}",
                fix="give the file as it was; a run keeps a copy of it, which --trust-code uses",
            )

    def about(self) -> dict[str, str]:
        """Its entries in the description of weights, which name the copy in their run."""
        return {"model": f"{COPY}:{self.function}", "code_sha256": self.sha256}

    def build(self, image_shape: tuple[int, ...], classes: int) -> Module:
        """Run the file and call the function; the network is not built yet.

        Raises:
            UsageError: the file or the function fails, or what it returns is no `Module`.
        """
        module = self._run()
        function = getattr(module, self.function, None)
        if not callable(function):
            names = [
                name
                for name, value in vars(module).items()
                if getattr(value, "__module__", None) == module.__name__
            ]
            raise UsageError(
                f"{self.file} has no function {self.function}",
                cause=f"it has {', '.join(names) or 'none'}",
                fix=f"define it: def {self.function}(image_shape, classes): return a Module",
            )
        called = f"{self.function}({tuple(image_shape)}, {classes})"
        try:
            network = function(tuple(image_shape), classes)
        except (Exception, SystemExit) as error:
            place = _place(error, self.file)
            if isinstance(function, Module) or (isinstance(function, type) and place is None):
                raise UsageError(
                    f"{self} is no function",
                    cause=f"it was called as {called}, and failed with"
                    f" {type(error).__name__}: {error}".partition("\n")[0],
                    fix=f"write def build(image_shape, classes): return the network, and give"
                    f" --model {self.file}:build",
                ) from error
            if isinstance(error, GpucnnError):
                raise
            fix = f"it is called as {called}: the shape of an image, and the number of classes"
            raise _failed(self, error, place, fix) from error
        if not isinstance(network, Module):
            raise UsageError(
                f"{self} returned a {type(network).__name__}, no Module",
                fix="return a gpucnn.nn.Module, such as nn.Sequential([...])",
            )
        if type(network).forward is Module.forward:
            raise UsageError(
                f"{self} returned a {type(network).__name__}, which has no forward",
                fix="define it: def forward(self, x): return the logits, a Tensor (N, classes)",
            )
        return network

    def _run(self) -> ModuleType:
        name = f"{_MODULE}{self.sha256[:12]}"
        module = ModuleType(name)
        module.__file__ = str(self.file)
        sys.modules[name] = module  # where dataclasses and pickle look for it
        try:
            exec(compile(self.source, str(self.file), "exec"), vars(module))
        except GpucnnError:
            raise
        except (Exception, SystemExit) as error:
            fix = f"try it: python {self.file}"
            if isinstance(error, ImportError):
                fix = "put what it needs into the file: a run keeps a copy of it alone"
            raise _failed(self.file, error, _place(error, self.file), fix) from error
        return module


def _failed(what: object, error: BaseException, place: str | None, fix: str) -> UsageError:
    return UsageError(f"{what} failed with {type(error).__name__}: {error}", cause=place, fix=fix)


def _place(error: BaseException, file: Path) -> str | None:
    """The line of a file that raised an error, in words."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line} of {file}" if line else None


def located(error: BaseException) -> GpucnnError | None:
    """The error to show for an error in the user's own network.

    Returns:
        An error that names the innermost line of the network's file; None if the traceback has no
        such line.
    """
    file: Path | None = None
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).startswith(_MODULE):
            file = Path(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    if file is None:
        return _of_signature(error)
    place = _place(error, file)
    if isinstance(error, GpucnnError):
        error.cause = f"{error.cause}; {place}" if error.cause else place
        return error
    fix = "correct the network; --debug shows all calls up to the error"
    return _failed(file, error, place, fix)


def _of_signature(error: BaseException) -> GpucnnError | None:
    """The error for a call that does not match the signature of `forward`: no line of it ran."""
    text = str(error)
    if not isinstance(error, TypeError) or ".forward() " not in text:
        return None
    return UsageError(
        f"the network cannot be called: {text}",
        cause="it is called with one input, a Tensor of images (N, C, H, W)",
        fix="define it: def forward(self, x): return the logits, a Tensor (N, classes)",
    )


def network(model: str, image_shape: tuple[int, ...], classes: int) -> Module:
    """The network that ``--model`` names, not built yet; for a Python file, it runs the file.

    Raises:
        UsageError: there is no such network, or as `Code.build`.
        DataError: as `gpucnn.training.described.for_classes`, for a weights file.
    """
    code = Code.parse(model)
    if code is not None:
        return code.build(image_shape, classes)
    if is_described(model):
        return for_classes(Path(model), classes)
    if model == MADE:
        raise UsageError(
            "the network was made in Python, and its layers are not known here",
            cause="only layers of gpucnn.nn are described in the weights of a run",
            fix="start from a run that describes them: --weights RUN; for layers of your own,"
            ' give model="my_net.py:build" to TrainConfig, or code= to save_run',
        )
    choose(dict.fromkeys(models.NAMES), model, "model", others=Code.form(model))
    return models.get(model, classes)
