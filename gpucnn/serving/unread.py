"""Answers to requests that are not read to their end."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MOST_BYTES = 64 << 20  # of a body that are read after the answer
_SECONDS = 10.0  # for them
_PAUSE = 1.0  # seconds between two pieces of them


class ReadToTheEnd:
    """An application that reads what is left of a request between its answer and the end.

    Many clients send all of a request before they read the answer. If the server closed the
    connection before that, they would get an error of the network in place of the answer.

    Args:
        app: the application; it sends an answer in one piece, of a known length.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_more = True

        async def noted() -> Message:
            nonlocal has_more
            message = await receive()
            has_more = message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            if message["type"] != "http.response.body" or not has_more:
                await send(message)
                return
            await send({**message, "more_body": True})
            await _read(noted)
            await send({"type": "http.response.body"})

        await self._app(scope, noted, answer)


async def _read(receive: Receive) -> None:
    """Read the rest of a body and drop it, within the bounds."""
    left = _MOST_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            while left > 0:
                message = await asyncio.wait_for(receive(), _PAUSE)
                if not message.get("more_body", False):
                    return
                left -= len(message["body"])
