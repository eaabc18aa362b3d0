"""Render the event vocabulary as ``docs/events.md`` and ``docs/events.schema.json``."""

import json
from functools import cache
from typing import Any

from jelmon import events
from jelmon.nats import subjects
from jelmon_generators.text import banner, json_text, table

_SOURCE = "src/jelmon/events/"

EXAMPLES: dict[str, tuple[str | None, dict[str, Any]]] = {
    "jelmore.card.queued": ("card-42", {"pipeline": "checkout"}),
    "jelmore.card.started": ("card-42", {"pipeline": "checkout"}),
    "jelmore.card.finished": ("card-42", {"pipeline": "checkout", "outcome": "success"}),
    "jelmore.stage.queued": ("card-42", {"pipeline": "checkout", "stage": "tests"}),
    "jelmore.stage.started": ("card-42", {"pipeline": "checkout", "stage": "tests", "worker": "runner-7"}),
    "jelmore.stage.finished": (
        "card-42",
        {
            "pipeline": "checkout",
            "stage": "tests",
            "worker": "runner-7",
            "outcome": "success",
            "next_stage": "quality-gate",
            "held_up": True,
        },
    ),
    "jelmore.stage.retried": (
        "card-42",
        {"pipeline": "checkout", "stage": "tests", "attempt": 2, "reason": "runner lost"},
    ),
    "jelmore.gate.evaluated": (
        "card-42",
        {"pipeline": "checkout", "gate": "coverage", "verdict": "failed", "stage": "quality-gate"},
    ),
    "jelmore.test.finished": (
        "card-42",
        {
            "pipeline": "checkout",
            "category": "integration",
            "outcome": "failed",
            "duration_seconds": 12.5,
            "failure_reason": "timeout",
            "name": "test_payment_is_refunded",
        },
    ),
    "jelmore.scan.finished": (
        "card-42",
        {
            "pipeline": "checkout",
            "scanner": "dependencies",
            "outcome": "success",
            "findings": {"high": 1, "low": 3},
            "duration_seconds": 41.0,
        },
    ),
    "jelmore.session.started": ("session-9", {"kind": "agent", "pipeline": "checkout"}),
    "jelmore.session.finished": ("session-9", {"kind": "agent", "pipeline": "checkout", "outcome": "success"}),
    "jelmore.call.finished": (
        None,
        {"target": "artefact-store", "outcome": "error", "duration_seconds": 2.0, "error": "connect"},
    ),
    "jelmore.action.requested": (
        "action-3",
        {"action": "scale_up", "pipeline": "checkout", "stage": "tests", "requested_by": "VelocityDrop"},
    ),
    "jelmore.action.finished": (
        "action-3",
        {"action": "scale_up", "pipeline": "checkout", "stage": "tests", "outcome": "success"},
    ),
    "jelmore.work.recorded": (
        None,
        {"tool": "editor", "kind": "edit", "duration_seconds": 90.0, "pipeline": "checkout"},
    ),
    "jelmore.pipeline.declared": (
        None,
        {
            "pipeline": "checkout",
            "stages": [
                {"stage": "tests", "workers": 4, "queue_capacity": 20, "time_limit_seconds": 900.0},
                {"stage": "quality-gate", "workers": 1},
            ],
            "stall_limit_seconds": 600.0,
            "card_target_seconds": 3600.0,
        },
    ),
}
"""Subject and data of an example event of each type, with every relevant field set."""

_STANDARDS = (
    (
        "`card.*`",
        "`pipelineRun` queued, started, finished",
        "`cicd.pipeline.run.*`: duration (histogram), active, errors",
    ),
    (
        "`stage.*`; one run is card, stage and attempt",
        "`taskRun` started, finished (it has no *queued*; ours adds it)",
        "`cicd.pipeline.task.*`; state *pending* is waiting, *executing* is running, *finalizing* is blocked",
    ),
    ("`test.finished`", "`testCaseRun` finished, `testSuiteRun`", "`cicd.pipeline.task.type` = `test`"),
    ("`gate.evaluated`, `scan.finished`", "none; as custom events", "none"),
    ("`pipeline.declared`", "none", "`cicd.pipeline.name`, `cicd.pipeline.task.name` as resource"),
    ("outcome `success`", "`success`", "result `success`"),
    ("outcome `failure`: the work failed", "`failure`", "result `failure`"),
    ("outcome `error`: the system failed", "`error`", "result `error`"),
    ("outcome `timeout`", "`error`", "result `timeout`"),
    ("outcome `cancelled`", "`cancel`", "result `cancellation`"),
    ("outcome `skipped`", "none; no event", "result `skip`"),
    ("`worker`", "none", "`cicd.worker.id`"),
    ("`subject` (the card)", "`subject.id`", "`cicd.pipeline.run.id`; opt-in, never a Prometheus label"),
    ("`traceparent`", "CloudEvents extension, the same", "trace context of the span"),
)


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of an event."""
    plain = events.json_schema()
    # the library does not describe the keys of a mapping; the parser rejects unknown ones
    findings = plain["$defs"]["ScanFinishedData"]["properties"]["findings"]
    findings["propertyNames"] = {"enum": list(events.Severity)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"generated from {_SOURCE}, do not edit",
        "title": "Jelmore event",
        "description": "One CloudEvents 1.0 JSON object. Unknown attributes and data fields are ignored.",
        **plain,
    }


def example(kind: str) -> dict[str, Any]:
    """Return an example event of this type as sent over the wire."""
    subject, data = EXAMPLES[kind]
    return {
        "specversion": "1.0",
        "type": kind,
        "id": "0b8e1b0e-6f0f-4d5c-9c53-6a8a39d0a1f4",
        "source": "/ci/runner-7",
        "time": "2026-01-31T12:00:00.250Z",
        **({} if subject is None else {"subject": subject}),
        "data": data,
    }


def render() -> dict[str, str]:
    """Return the document and the schema."""
    return {
        "docs/events.md": _document(),
        "docs/events.schema.json": json_text(schema()),
    }


def _document() -> str:
    definitions = schema()["$defs"]
    kinds = schema()["discriminator"]["mapping"]
    lines = [
        banner(_SOURCE),
        "# Events",
        "",
        "Pipelines report progress as [CloudEvents 1.0](https://cloudevents.io) in JSON; there is a",
        "[JSON Schema](events.schema.json). Send events with `jelmon emit`, with `jelmon.client.Publisher`, directly",
        "to NATS, or to `POST /api/v1/events` of the exporter.",
        "",
        f"- Subject in NATS: `jelmore.events.<noun>.<key>`, in the stream `{subjects.STREAM}`. The key is the event's",
        "  `subject`, so that the events of a card stay in order. Several events in one message go to",
        "  `jelmore.events.batch.<key>`; all of them must belong to the partition of that key.",
        "- Set the header `Nats-Msg-Id` to `source`, a space and `id` of the event, so that retries are deduplicated.",
        "- `time` is when it happened, by the producer's clock; durations are computed from it, also on replay.",
        f"- An event has at most {events.MAX_EVENT_BYTES:,} bytes; a message may hold a JSON array of up to"
        f" {events.MAX_BATCH_EVENTS} events (CloudEvents batch).",
        "- Unknown attributes and data fields are ignored. A malformed event is kept in the dead-letter",
        "  stream and counted, never silently dropped.",
        "- Values that become label values are limited in length and have no control characters; ids never become",
        "  labels.",
        "",
        "## Attributes of every event",
        "",
        "`type` is one of the types below.",
        "",
        *_fields_table(definitions["CardQueued"], definitions, skip=("type", "data")),
        "",
        "`subject` is the id of the card, session or action. It is required unless the type says otherwise.",
        "",
        "## Types",
        "",
        *table(
            ("type", "meaning"),
            [(f"[`{kind}`](#{_anchor(kind)})", _sentence(_of(ref, definitions))) for kind, ref in kinds.items()],
        ),
    ]
    for kind, ref in kinds.items():
        lines.extend(_section(kind, _of(ref, definitions), definitions))
    lines += [
        "",
        "## Other standards",
        "",
        "How these terms map to [CDEvents](https://cdevents.dev) 0.5 and to the OpenTelemetry semantic conventions for",
        "CI/CD (1.44, release candidate).",
        "",
        *table(("ours", "CDEvents", "OpenTelemetry CI/CD"), _STANDARDS),
    ]
    return "\n".join(lines) + "\n"


def _anchor(kind: str) -> str:
    return kind.replace(".", "")


def _of(reference: str, definitions: dict[str, Any]) -> dict[str, Any]:
    definition: dict[str, Any] = definitions[reference.rsplit("/", 1)[1]]
    return definition


def _sentence(definition: dict[str, Any]) -> str:
    return str(definition.get("description", "")).split("\n")[0].replace("``", "`")


def _section(kind: str, event: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    data = _of(event["properties"]["data"]["$ref"], definitions)
    lines = ["", f"### `{kind}`", "", _sentence(event)]
    if "subject" not in event["required"]:
        lines[-1] += " `subject` is optional."
    lines += ["", *_fields_table(data, definitions)]
    for name, part in _nested(data, definitions):
        lines += ["", f"Each of `{name}`:", "", *_fields_table(part, definitions)]
    lines += ["", "```json", json.dumps(example(kind), indent=2), "```"]
    return lines


def _nested(data: dict[str, Any], definitions: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, _of(spec["items"]["$ref"], definitions))
        for name, spec in data["properties"].items()
        if "$ref" in spec.get("items", {})
    ]


def _fields_table(definition: dict[str, Any], definitions: dict[str, Any], *, skip: tuple[str, ...] = ()) -> list[str]:
    rows = []
    for name, spec in definition["properties"].items():
        if name in skip:
            continue
        inner = next((part for part in spec.get("anyOf", [spec]) if part.get("type") != "null"), spec)
        need = "yes" if name in definition["required"] else _default(spec)
        rows.append((f"`{name}`", need, _kind_of(inner, definitions), str(inner.get("description", ""))))
    return table(("field", "required", "value", "meaning"), rows)


def _default(spec: dict[str, Any]) -> str:
    default = spec.get("default")
    return "no" if default in (None, "", {}) else f"no; `{json.dumps(default)}`"


def _kind_of(spec: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Describe type and limits in words."""
    if "$ref" in spec:
        spec = _of(spec["$ref"], definitions)
    if "enum" in spec:
        return ", ".join(f"`{value}`" for value in spec["enum"])
    match spec.get("type"):
        case "string" if spec.get("format") == "date-time":
            return "RFC 3339 time with zone"
        case "string":
            least = spec.get("minLength", 0)
            return f"text, {least} to {spec['maxLength']} characters" if "maxLength" in spec else "text"
        case "integer" | "number" as kind:
            word = "whole number" if kind == "integer" else "number"
            return f"{word}, {spec.get('minimum', 0):g} to {spec['maximum']:.6g}" if "maximum" in spec else word
        case "boolean":
            return "`true` or `false`"
        case "array":
            return f"list, at most {spec['maxItems']}" if "maxItems" in spec else "list"
        case "object":
            keys = spec.get("propertyNames", {}).get("enum", [])
            return f"object; keys {', '.join(f'`{key}`' for key in keys)}; values whole numbers" if keys else "object"
    return "any"
