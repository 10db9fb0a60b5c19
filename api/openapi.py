"""`/openapi.json` and `/docs`: the description of the JSON API, made once out of the declared operations.

OpenAPI 3.1. Schemas come from marshmallow through apispec; everything else (permissions, problems, idempotency,
sign-in) from `Operation`. The reference page is rendered on the server from the same document, so that the two
never disagree; it needs no script and loads nothing from elsewhere.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Blueprint, Flask, Response, current_app, json, render_template, send_from_directory
from markupsafe import Markup

from api import writing
from api.bodies import JSON
from api.operations import Operation, Operations
from api.problems import MEDIA_TYPE, PROBLEMS
from api.schemas.base import Choice, Flag, Instant, Link, Scale, Symbol, Text, Whole
from api.services import services
from ledger.people.roles import PERMISSIONS

VERSION = "1.0.0"
KEY = "openapi"
STATIC = Path(__file__).parent / "web" / "static"
_FLASK_ARGUMENT = re.compile(r"<(?:(\w+):)?(\w+)>")
_ABOUT = """The token-reward and community-commerce ledger of a learning city. Amounts are integers in minor units, \
named `…_minor`, with `symbol` and `scale` beside them. Refusals are `application/problem+json` with a stable `code`; \
texts come in Thai and English (`?lang=`, `Accept-Language`). A 201 says: durable, in the Merkle tree, covered by a \
signed checkpoint."""
_SECURITY: dict[str, dict[str, str]] = {
    "token": {"type": "http", "scheme": "bearer", "description": "A sign-in token of the city, `kgo_…`."},
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "learner.{city}",
        "description": "The sign-in of our own pages (or `staff.{city}`); unsafe requests must be same-origin. "
        "`Kgo-Sign-In: learner` or `staff` says which one is meant where both hold the permission.",
    },
}

_FIELDS: dict[type, tuple[str | None, str | None]] = {
    Symbol: ("string", None),
    Scale: ("integer", None),
    Link: ("string", "uri"),
    Text: ("string", None),
    Instant: ("string", "date-time"),
    Whole: ("integer", None),
    Flag: ("boolean", None),
}

blueprint = Blueprint("openapi", __name__)


def register(app: Flask, prefix: str, nouns: tuple[Operations, ...]) -> None:
    """Serve the description of an application's operations; it is made when first asked for."""
    app.extensions[KEY] = cache(lambda: document(prefix, nouns))
    app.register_blueprint(blueprint)


@blueprint.get("/openapi.json")
def openapi_json() -> Response:
    """The description."""
    described = {**current_app.extensions[KEY](), "servers": [{"url": services().public_url}]}
    response = Response(json.dumps(described, ensure_ascii=False), mimetype=JSON)
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@blueprint.get("/docs")
def docs() -> Response:
    """The description for people."""
    words = services().catalogue
    problems = [
        {
            "code": code,
            "status": status,
            "title": words.text("en", f"problem.{code}.title"),
            "text": words.text("en", f"problem.{code}"),
            "title_th": words.text("th", f"problem.{code}.title"),
        }
        for code, status in PROBLEMS.items()
    ]
    page = render_template(
        "docs.html", spec=current_app.extensions[KEY](), problems=problems, resolve=_resolve, marked=_marked
    )
    response = Response(page, mimetype="text/html")
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@blueprint.get("/docs.css")
def style() -> Response:
    """The look of the reference."""
    return send_from_directory(STATIC, "docs.css", max_age=300)


def document(prefix: str, nouns: tuple[Operations, ...]) -> dict[str, Any]:
    """The OpenAPI document as a JSON object."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name_of)
    spec = APISpec(
        title="KGO Ledger",
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": _ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        tags=[{"name": noun.tag, "description": noun.about} for noun in nouns],
    )
    converter = plugin.converter
    assert converter is not None  # noqa: S101 - made when the plugin came to its document
    _teach(converter)
    for name, scheme in _SECURITY.items():
        spec.components.security_scheme(name, scheme)
    spec.components.schema("Problem", _problem_schema())
    paths: dict[str, dict[str, Any]] = {}
    for noun in nouns:
        for operation in noun.all:
            path = _FLASK_ARGUMENT.sub(r"{\2}", prefix + operation.path)
            paths.setdefault(path, {})[operation.method.lower()] = _described(converter, operation)
    for path, operations in paths.items():
        spec.path(path=path, operations=operations)
    return dict(spec.to_dict())


def _teach(converter: OpenAPIConverter) -> None:
    """Tell apispec what our own fields are."""
    converter.field_mapping = {**converter.field_mapping, **_FIELDS}
    converter.add_attribute_function(_bounds)  # type: ignore[no-untyped-call]


def _bounds(_converter: OpenAPIConverter, field: Any, **_: Any) -> dict[str, Any]:
    if isinstance(field, Choice):
        return {"enum": list(field.choices)}
    if isinstance(field, Text):
        return {"maxLength": field.longest}
    if isinstance(field, Whole):
        return {"minimum": field.least, "maximum": field.most}
    return {}


def _name_of(schema: Any) -> str:
    made = schema if isinstance(schema, type) else type(schema)
    return str(made.__name__).removesuffix("Schema").lstrip("_")


def _described(converter: OpenAPIConverter, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name.replace(".", "_").replace("-", "_"),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _description(operation),
        "parameters": _parameters(converter, operation),
        "responses": _responses(operation),
        "security": [{}] if operation.public else [{"token": []}, {"cookie": []}],
    }
    if operation.request is not None and operation.request.fields:
        content: dict[str, Any] = {"schema": operation.request}
        if operation.example is not None:
            content["example"] = operation.example
        required = any(field.required for field in operation.request.fields.values())
        described["requestBody"] = {"required": required, "content": {JSON: content}}
    return described


def _description(operation: Operation) -> str:
    roles = "anybody" if operation.public else ", ".join(sorted(PERMISSIONS[operation.permission]))
    return f"{operation.description}\n\nPermission `{operation.permission}`: {roles}.".strip()


def _parameters(converter: OpenAPIConverter, operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for form, name in _FLASK_ARGUMENT.findall(operation.path):
        kind = {"type": "integer", "minimum": 0} if form == "int" else {"type": "string"}
        example = {"city": "khon-kaen", "account": "treasury", "seq": 0}.get(name)
        found: dict[str, Any] = {"name": name, "in": "path", "required": True, "schema": kind}
        parameters.append(found | ({"example": example} if example is not None else {}))
    if operation.query is not None:
        parameters += converter.schema2parameters(operation.query, location="query")
    if operation.keyed:
        parameters.append(
            {
                "name": writing.KEY_HEADER,
                "in": "header",
                "required": False,
                "description": "The same key and body get the first answer again, marked "
                f"`{writing.REPLAY_HEADER}: true`.",
                "schema": {"type": "string", "minLength": 1, "maxLength": writing.LONGEST_KEY},
            }
        )
    return parameters


def _responses(operation: Operation) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": operation.response} if operation.response else {}
    if operation.media != JSON:
        body = {"schema": {"type": "string", "contentMediaType": operation.media}}
    success: dict[str, Any] = {"description": operation.summary + ".", "content": {operation.media: body}}
    if operation.keyed:
        success["headers"] = {writing.REPLAY_HEADER: {"schema": {"type": "string", "const": "true"}}}
    responses: dict[str, Any] = {str(operation.status): success}
    by_status: dict[int, list[str]] = {}
    for code in operation.all_problems:
        by_status.setdefault(PROBLEMS[code], []).append(code)
    for status, codes in sorted(by_status.items()):
        schema = {
            "allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {"properties": {"code": {"enum": codes}}},
            ]
        }
        responses[str(status)] = {
            "description": ", ".join(f"`{code}`" for code in codes),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
    return responses


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457. Facts of the refusal (amounts, instants, ids) stand beside these members.",
        "required": ["type", "title", "status", "detail", "code", "messages"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What happened and what to do about it."},
            "code": {"type": "string", "enum": list(PROBLEMS)},
            "reason": {"type": "string", "description": "Refines the code."},
            "fields": {"type": "object", "additionalProperties": text, "description": "The remedy for each field."},
            "messages": {
                "type": "object",
                "properties": {"th": text, "en": text},
                "required": ["th", "en"],
            },
        },
    }


def _resolve(schema: dict[str, Any]) -> str:
    """The name of the component that a schema refers to, for a link; empty for an inline one."""
    reference = str(schema.get("$ref") or schema.get("items", {}).get("$ref") or "")
    return reference.rpartition("/")[2]


def _marked(text: str) -> Markup:
    """A description with what stands in backticks shown as code."""
    parts = enumerate(text.split("`"))
    return Markup().join(Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in parts)
