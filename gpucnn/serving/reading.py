"""The body of a request as images: a picture, a drawing of the page, or an array in JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import itertools
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect, Request

from gpucnn.data import Reading
from gpucnn.data.image import Upload
from gpucnn.errors import DataError
from gpucnn.quoting import quoted
from gpucnn.serving.form import files
from gpucnn.serving.problem import RequestError, too_large
from gpucnn.training import SavedModel

Read = TypeVar("Read")

MOST_IMAGES = 256  # in a request
MOST_BYTES = 16 << 20  # of a body
_LARGE = 64 << 10  # bytes; larger bodies are read a few at a time
_AT_A_TIME = 16  # of those
_SECONDS = 10.0  # for a client to send its request
_DIGITS = 24  # characters of a number in JSON
_CANVAS = "data:image/png;base64,"
_KINDS = (
    "send a picture as multipart/form-data or image/png, or an array or a drawing as"
    " application/json; see /openapi.json"
)


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a request.

    Args:
        array: (N, *image_shape) as `SavedModel.predict` takes it.
        notes: for each, how an array was read, and what may be wrong with a picture.
    """

    array: NDArray[Any]
    notes: Sequence[Sequence[str]]


class Bodies:
    """Reads the bodies of requests for a model.

    Args:
        saved: the model.
        given: options that replace those of its run.
    """

    def __init__(self, saved: SavedModel, given: Reading) -> None:
        self._saved = saved
        self._given = given
        # One thread: Pillow's warnings are caught in a way that is not safe for several.
        self._reader = ThreadPoolExecutor(1, "gpucnn-pictures")
        self._reader.submit(int)  # starts the thread while there is memory for it
        self._large = asyncio.Semaphore(_AT_A_TIME)
        self._several = asyncio.Lock()  # the images of one form at a time are collected
        numbers = MOST_IMAGES * math.prod(saved.image_shape)
        self._most_json = min(MOST_BYTES, max(1 << 20, _DIGITS * numbers))
        self._most_lists = max(1 << 18, 2 * numbers)  # with the channels last, one for each

    def close(self) -> None:
        self._reader.shutdown()

    async def images(self, request: Request) -> Images:
        """The images in the body of a request.

        Raises:
            RequestError: the body is none of the kinds that are read, too large or too slow.
            GpucnnError: it holds no image that the model takes.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        coding = request.headers.get("content-encoding", "identity").lower()
        if coding != "identity":
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"the content encoding is {quoted(coding)}, and bodies are read as they are",
                fix="send the body without compression, and without Content-Encoding",
            )
        if kind.startswith("image/"):
            async with self._body(request, MOST_BYTES) as body:
                return await self._pictures([(bytes(body), "the upload")])
        if kind == "multipart/form-data":
            async with self._body(request, MOST_BYTES) as body:
                form = await self._read(files, request.headers["content-type"], body, MOST_IMAGES)
                return await self._pictures(form)
        if kind == "application/json":
            async with self._body(request, self._most_json) as body:
                # In one call: a parsed body takes much memory, so that one is there at a time.
                is_large = len(body) > _LARGE  # too long for the event loop
                found = await self._read(self._json, body) if is_large else self._json(body)
                if isinstance(found, Images):
                    return found
                return await self._pictures([(found, "the drawing")])
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the content type is {quoted(kind)}" if kind else "the request has no content type",
            fix=_KINDS,
        )

    async def _read(self, function: Callable[..., Read], *values: Any) -> Read:
        return await asyncio.get_running_loop().run_in_executor(self._reader, function, *values)

    @contextlib.asynccontextmanager
    async def _body(self, request: Request, most: int) -> AsyncIterator[bytearray]:
        """The body of a request, of at most so many bytes."""
        length = request.headers.get("content-length", "")
        declared = int(length[:20]) if length.isdecimal() else None
        if declared is not None and declared > most:
            raise too_large(most)
        is_small = declared is not None and declared <= _LARGE
        async with contextlib.nullcontext() if is_small else self._large:
            body = bytearray()
            try:
                async with asyncio.timeout(_SECONDS):
                    async for chunk in request.stream():
                        body += chunk
                        if len(body) > most:
                            raise too_large(most)
            except TimeoutError as error:
                raise RequestError(
                    HTTPStatus.REQUEST_TIMEOUT,
                    "the request did not arrive in time",
                    cause=f"it may take {_SECONDS:.0f} seconds",
                    fix="send it again",
                ) from error
            except ClientDisconnect as error:
                raise RequestError(
                    HTTPStatus.BAD_REQUEST, "the client has gone", fix="send the request again"
                ) from error
            yield body

    async def _pictures(self, contents: list[tuple[bytes, str]]) -> Images:
        # One by one: the bodies of other requests are read in between, and nothing after a timeout.
        async with self._several if len(contents) > 1 else contextlib.nullcontext():
            found = [await self._read(self._picture, *each) for each in contents]
        return Images(np.concatenate([image for image, _ in found]), [notes for _, notes in found])

    def _picture(self, content: bytes, name: str) -> tuple[NDArray[Any], list[str]]:
        """The image (1, *image_shape) in a picture, and what may be wrong with the picture."""
        found = self._saved.read_picture(Upload(content, name), self._given)
        self._saved.check_shape(found.images, name)
        return found.images, found.doubts.get(name, [])

    def _json(self, body: bytearray) -> Images | bytes:
        """The images of an array, or the picture of a drawing."""
        lists = body.count(b"[") + body.count(b"{")
        if lists > self._most_lists:  # an empty one takes 40 times its text
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has {lists:,} lists and objects",
                cause=f"at most {self._most_lists:,} are read",
                fix="send fewer images, and no empty lists",
            )
        value = _parsed(body)
        return _drawing(value) if isinstance(value, dict) else self._array(value)

    def _array(self, value: Any) -> Images:
        array = _numbers(value)
        is_batch = array.ndim > 1 and len(array) == 1
        if array.size == math.prod(self._saved.image_shape) and not is_batch:
            image, notes = self._image(array, "the array")
            return Images(image, [notes])
        if len(array) > MOST_IMAGES:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the array has {len(array):,} images",
                cause=f"at most {MOST_IMAGES} are answered at once",
                fix="send several requests",
            )
        # One by one: how an image is read must not depend on the others.
        images, notes = zip(
            *(
                self._image(np.array(each), f"image {n} of the array")
                for n, each in enumerate(value)
            ),
            strict=True,
        )
        return Images(np.concatenate(images), notes)

    def _image(self, array: NDArray[Any], name: str) -> tuple[NDArray[Any], list[str]]:
        """The image (1, *image_shape) in an array, and how it was read."""
        image, said = self._saved.read_array(array[np.newaxis], name, self._given)
        self._saved.check_shape(image, name)
        return image, said


def _parsed(body: bytearray) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise _no_json("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _no_json(str(error)) from error
    except UnicodeDecodeError as error:
        raise _no_json("it is no text in UTF-8") from error
    except ValueError as error:  # of int()
        raise _no_json("it holds a number of too many digits") from error


def _refuse_constant(name: str) -> NoReturn:
    raise _no_json(f"it holds {name}, which is no number of JSON")


def _no_json(cause: str) -> RequestError:
    return RequestError(
        HTTPStatus.BAD_REQUEST, "the body is no JSON", cause=cause, fix="send an array of numbers"
    )


def _drawing(value: dict[str, Any]) -> bytes:
    """The picture of {"canvas": "data:image/png;base64,..."}, as `canvas.toDataURL()` gives it."""
    url = value.get("canvas")
    if set(value) == {"canvas"} and isinstance(url, str) and url.startswith(_CANVAS):
        with contextlib.suppress(binascii.Error, ValueError):
            return base64.b64decode(url[len(_CANVAS) :], validate=True)
    raise RequestError(
        HTTPStatus.BAD_REQUEST,
        "the object is no drawing",
        fix=f'send {{"canvas": "{_CANVAS}..."}}, the result of canvas.toDataURL(); or an array',
    )


def _numbers(value: Any) -> NDArray[Any]:
    """An array of numbers from lists of lists.

    NumPy gets nothing but numbers: it would give each item of an array the size of the longest
    text in it.
    """
    if not isinstance(value, list):
        raise _no_numbers()
    items = value
    while (kinds := set(map(type, items))) == {list}:
        items = list(itertools.chain.from_iterable(items))
    if not kinds or not kinds <= {bool, int, float, list}:
        raise _no_numbers()
    if list in kinds:
        raise _not_rectangular()
    try:
        array = np.array(value)
    except ValueError as error:
        raise _not_rectangular() from error
    if array.dtype.kind not in "biuf":  # an integer that has no dtype
        raise _no_numbers()
    return array


def _no_numbers() -> DataError:
    return DataError(
        "the body is no array of numbers",
        fix="send one image as [[0, 255, ...], ...], or a list of images",
    )


def _not_rectangular() -> DataError:
    return DataError(
        "the array is not rectangular",
        cause="its lists differ in length or in depth, or they are nested too deeply",
        fix="send lists of equal lengths, with numbers in the innermost",
    )
