"""The description of the interface, in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

import gpucnn
from gpucnn.data.image import FORMATS
from gpucnn.data.reading import times
from gpucnn.serving.reading import MOST_BYTES, MOST_IMAGES
from gpucnn.training import SavedModel

_PICTURE = f"A picture: {', '.join(FORMATS)}. Its content decides which, not its content type."
_ERRORS = {
    "400": "The body is no image that the model takes.",
    "403": "The request is for another host, or from the page of another site.",
    "408": "The request did not arrive in time.",
    "413": "The request is too large.",
    "415": "The content type is none of those below, or the body is compressed.",
    "422": "The outputs of the model for this image are not finite.",
    "503": "The server has too many requests to answer.",
}


def description(saved: SavedModel) -> dict[str, Any]:
    """The description for a model."""
    shape = list(saved.image_shape)
    picture = {"type": "string", "format": "binary", "maxLength": MOST_BYTES}
    bodies = {
        "application/json": {"schema": _reference("Images")},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {**_array(picture), "maxItems": MOST_IMAGES}},
            }
        },
        "image/*": {"schema": {**picture, "description": _PICTURE}},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"gpucnn serve: {saved.model.display_name}",
            "version": gpucnn.__version__,
            "summary": f"Classifies images of {times(saved.image_shape)} into"
            f" {len(saved.class_names)} classes.",
        },
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Classify a picture, a drawing, or an array of images.",
                    "parameters": [
                        {
                            "name": "layers",
                            "in": "query",
                            "description": "1 for the image that the model sees and the outputs"
                            " of its first layers; for one image.",
                            "schema": {"type": "integer", "enum": [0, 1], "default": 0},
                        }
                    ],
                    "requestBody": {"required": True, "content": bodies},
                    "responses": {
                        "200": _answer("The answer for each image, in their order.", "Answer"),
                        **{code: _answer(text, "Problem") for code, text in _ERRORS.items()},
                    },
                }
            },
            "/health": {
                "get": {
                    "operationId": "health",
                    "summary": "Whether the server answers, and its model.",
                    "responses": {"200": _answer("It answers.", "Health")},
                }
            },
            "/openapi.json": {
                "get": {
                    "operationId": "openapi",
                    "summary": "This description.",
                    "responses": {
                        "200": {
                            "description": "OpenAPI 3.1.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            },
        },
        "components": {"schemas": _schemas(saved.class_names, shape)},
    }


def _answer(text: str, schema: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": _reference(schema)}},
    }


def _schemas(classes: list[str], shape: list[int]) -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "number"}
    label = {"type": "string", "enum": classes}
    text_or_null = {"type": ["string", "null"]}
    integers, texts = _array({"type": "integer"}), _array(text)
    return {
        "Images": {
            "description": f"One image of the shape {shape}, or a list of up to {MOST_IMAGES}; or"
            " a drawing. Pixels are whole numbers from 0 to 255, or numbers from 0 to 1, light on"
            " dark as in training. How an image is read depends on it alone. Axes of length 1 may"
            " be left out, and an image may be a row.",
            "oneOf": [
                {**_array({}), "minItems": 1},
                _object(
                    canvas={
                        "description": "The result of canvas.toDataURL().",
                        "type": "string",
                        "pattern": "^data:image/png;base64,",
                    }
                ),
            ],
        },
        "Answer": {
            **_object(
                predictions=_array(_reference("Prediction")),
                input={
                    "description": "With layers=1: the image that the model sees, a PNG as data:.",
                    **text_or_null,
                },
                layers=_array(_reference("Layer")),
            ),
            "required": ["predictions"],
        },
        "Prediction": _object(
            label=label,
            probability=number,
            probabilities={
                "description": "Of each class, the most probable first.",
                "type": "object",
                "propertyNames": label,
                "additionalProperties": number,
            },
            notes={
                "description": "How an array was read, and what may be wrong with a picture.",
                **texts,
            },
        ),
        "Layer": _object(
            name=text,
            shape=integers,
            most={"description": "The largest absolute value.", **number},
            maps={
                "description": "A PNG as data: for each of the first channels; white is 0.",
                **texts,
            },
        ),
        "Health": _object(
            status={"const": "ok"},
            gpucnn=text,
            model=text,
            image_shape=integers,
            classes=texts,
        ),
        "Problem": _object(
            error=_object(
                kind=text,
                message=text,
                cause=text_or_null,
                fix=text_or_null,
            )
        ),
    }


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(**properties: Any) -> dict[str, Any]:
    """The schema of an object with these properties, all of them required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
