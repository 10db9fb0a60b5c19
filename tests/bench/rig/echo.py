"""What the web framework alone costs: plain Flask and marshmallow, nothing behind them.

The request is a check-in's; the answer is as long as a check-in's.
"""

from __future__ import annotations

import os

from flask import Flask, Response, jsonify, request
from marshmallow import Schema, fields

ANSWER_BYTES = "KGO_BENCH_ANSWER_BYTES"
"""The variable that says how long an answer is."""


class EchoSchema(Schema):
    """What comes in, and with some padding goes out again."""

    code = fields.String(required=True)
    turn = fields.String()
    padding = fields.String(dump_only=True)


def create_app() -> Flask:
    """The application."""
    app, schema = Flask("echo"), EchoSchema()
    padding = "x" * max(0, int(os.environ.get(ANSWER_BYTES, "0")) - len('{"code":"","padding":""}\n') - 20)

    @app.post("/check-ins")
    def echo() -> tuple[Response, int]:
        return jsonify(schema.dump({**schema.load(request.get_json()), "padding": padding})), 201

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app
