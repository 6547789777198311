"""The application: /predict, /health, /openapi.json, and the page at /."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import gpucnn
from gpucnn.data import Reading
from gpucnn.errors import GpucnnError
from gpucnn.serving import BATCH_SIZE, layers
from gpucnn.serving.batching import Batches
from gpucnn.serving.openapi import description
from gpucnn.serving.page import html, policy
from gpucnn.serving.problem import RequestError, no_memory, status_of
from gpucnn.serving.reading import Bodies, Images
from gpucnn.training import SavedModel
from gpucnn.web import headers, is_loopback

_SECONDS = 30.0  # for an answer


class App:
    """An ASGI application that answers with a model; `close` ends its threads.

    Args:
        saved: the model.
        reading: options that replace those of its run, for pictures and arrays.
        batch_size: the most images of several requests that are computed together.
        is_own: whether the value of the header Host names this server; by default the names of the
            loopback interface. Other names are refused, as another site's name may be made to lead
            to this machine (DNS rebinding).

    Raises:
        DivergedError: the outputs of the model are not finite.
    """

    def __init__(
        self,
        saved: SavedModel,
        reading: Reading | None = None,
        *,
        batch_size: int = BATCH_SIZE,
        is_own: Callable[[str], bool] = is_loopback,
    ) -> None:
        kind = np.float32 if saved.description.floats else np.uint8
        saved.predict(np.zeros((1, *saved.image_shape), kind))  # compiles what is not yet
        self._saved = saved
        self._given = reading or Reading()
        self._is_own = is_own
        self._headers = headers(policy())
        self._page = html(saved, self._given).encode()
        self._description = json.dumps(description(saved)).encode()
        self._bodies = Bodies(saved, self._given)
        self._batches = Batches(self._compute, batch_size)
        self._starlette = Starlette(
            routes=[
                Route("/predict", self._predict, methods=["POST"]),
                Route("/health", self._health),
                Route("/openapi.json", self._openapi),
                Route("/", self._show),
            ],
            exception_handlers={
                GpucnnError: self._refuse,
                HTTPException: self._refuse_http,
                MemoryError: self._refuse_for_memory,
                Exception: self._fail,
            },
        )
        self._starlette.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (problem := self._foreign(Request(scope))):
            await self._error(problem, problem.status)(scope, receive, send)
            return
        await self._starlette(scope, receive, send)

    def close(self) -> None:
        """End the threads, after the server has ended."""
        self._bodies.close()
        self._batches.close()

    def _foreign(self, request: Request) -> RequestError | None:
        """The error for a request to another host, or from the page of another one."""
        host = request.headers.get("host", "")
        if not self._is_own(host):
            return RequestError(
                HTTPStatus.FORBIDDEN,
                "the host is not this machine",
                fix="use the address that gpucnn serve prints",
            )
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return RequestError(
                HTTPStatus.FORBIDDEN,
                "the page of another site cannot ask this server",
                fix="ask it from a program, or from its own page",
            )
        return None

    async def _predict(self, request: Request) -> Response:
        with_layers = _with_layers(request)
        try:
            async with asyncio.timeout(_SECONDS):
                images = await self._bodies.images(request)
                if with_layers and len(images.array) > 1:
                    raise RequestError(
                        HTTPStatus.BAD_REQUEST,
                        f"layers are shown of one image, and there are {len(images.array)}",
                        fix="send one image, or leave layers out",
                    )
                answer = await self._answer(images, with_layers)
        except TimeoutError as error:
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "there was no answer in time",
                cause=f"it may take {_SECONDS:.0f} seconds",
                fix="send fewer images, or a smaller picture",
            ) from error
        return self._json(answer)

    async def _answer(self, images: Images, with_layers: bool) -> dict[str, Any]:
        found = await self._batches.answers(images.array)
        answer: dict[str, Any] = {
            "predictions": [
                {
                    **classes[0],
                    "probabilities": {each["label"]: each["probability"] for each in classes},
                    "notes": list(notes),
                }
                for classes, notes in zip(found, images.notes, strict=True)
            ]
        }
        if with_layers:
            image = images.array[0]
            answer["input"] = layers.picture(image) if len(image) in (1, 3) else None
            answer["layers"] = await self._batches.alone(
                lambda: layers.feature_maps(self._saved, image)
            )
        return answer

    def _compute(self, images: Any) -> list[list[dict[str, Any]]]:
        return self._saved.classify(images, top=len(self._saved.class_names))

    async def _health(self, request: Request) -> Response:
        return self._json(
            {
                "status": "ok",
                "gpucnn": gpucnn.__version__,
                "model": self._saved.model.display_name,
                "image_shape": list(self._saved.image_shape),
                "classes": self._saved.class_names,
            }
        )

    async def _openapi(self, request: Request) -> Response:
        return Response(self._description, 200, self._headers, "application/json")

    async def _show(self, request: Request) -> Response:
        return Response(self._page, 200, self._headers, "text/html")

    # ---- errors ----------------------------------------------------------------------------

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, GpucnnError)
        return self._error(error, status_of(error))

    async def _refuse_http(self, request: Request, error: Exception) -> Response:
        """Starlette's own errors: another path, another method."""
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (error.headers or {}).get("Allow", "")
            problem = GpucnnError(
                f"{request.url.path} does not answer {request.method[:20]}", fix=f"use {allowed}"
            )
        else:
            problem = GpucnnError(
                "there is nothing at this address",
                fix="ask for /, /predict, /health or /openapi.json",
            )
        answer = self._error(problem, HTTPStatus(error.status_code))
        answer.headers.update(error.headers or {})
        return answer

    async def _refuse_for_memory(self, request: Request, error: Exception) -> Response:
        problem = no_memory()
        return self._error(problem, problem.status)

    async def _fail(self, request: Request, error: Exception) -> Response:
        """A bug: uvicorn prints its traceback."""
        problem = GpucnnError(
            "the server failed",
            cause="this is a bug in gpucnn, or in the model's own code",
            fix="report what gpucnn serve printed",
        )
        return self._error(problem, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _error(self, error: GpucnnError, status: HTTPStatus) -> Response:
        return self._json({"error": error.as_dict()}, status)

    def _json(self, answer: dict[str, Any], status: int = HTTPStatus.OK) -> Response:
        body = json.dumps(answer, allow_nan=False).encode()
        return Response(body, status, self._headers, "application/json")


def _with_layers(request: Request) -> bool:
    """Whether the query asks for the layers: ?layers=1."""
    query = request.query_params.multi_items()
    if query in ([], [("layers", "0")]):
        return False
    if query == [("layers", "1")]:
        return True
    raise RequestError(
        HTTPStatus.BAD_REQUEST,
        "the query is not understood",
        fix="leave it out, or ask for the feature maps of an image with ?layers=1",
    )
