"""What is wrong with a request, as an answer: a status and the error in JSON."""

from __future__ import annotations

from http import HTTPStatus

from gpucnn.errors import (
    DataError,
    DivergedError,
    DtypeError,
    GpucnnError,
    OutOfMemoryError,
    ShapeError,
    UsageError,
)


class RequestError(GpucnnError):
    """A request that is not answered.

    Args:
        status: of HTTP.
    """

    kind = "request"

    def __init__(
        self, status: HTTPStatus, message: str, *, cause: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(message, cause=cause, fix=fix)
        self.status = status


def status_of(error: GpucnnError) -> HTTPStatus:
    """The status of an error that a request led to."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, OutOfMemoryError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, DivergedError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, DataError | UsageError | ShapeError | DtypeError):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.INTERNAL_SERVER_ERROR  # a device that failed


def too_large(most: int) -> RequestError:
    """The error for a body of more bytes than are read."""
    return RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "the request is too large",
        cause=f"at most {most:,} bytes are read",
        fix="send fewer images, or a smaller picture",
    )


def busy() -> RequestError:
    """The error for a server that has too much to do."""
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the server has too many requests to answer",
        fix="send the request again later",
    )


def no_memory() -> RequestError:
    """The error for a request that does not fit into memory."""
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the server has no memory for the request",
        fix="send fewer images, or a smaller picture; or send the request again later",
    )
