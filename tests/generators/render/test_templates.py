"""The notification templates, rendered by amtool."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

DATA = {
    "receiver": "chat",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "PipelineStalled",
                "escalation_level": "2",
                "pipeline": "check out & pay",
                "severity": "critical",
            },
            "annotations": {
                "summary": "Pipeline check out & pay has stalled",
                "description": "Nothing moved for 12m.",
                "runbook_url": "https://runbooks.example/PipelineStalled.md",
                "escalation_note": "Level 2 of 3: firing for 30m and not fixed.",
            },
            "startsAt": "2026-01-31T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }
    ],
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {"summary": "Pipeline check out & pay has stalled"},
    "externalURL": "https://alertmanager.example",
}


def test_a_level_links_to_a_silence_that_mutes_every_level(
    root: Path, tool: Callable[[str], Path], tmp_path: Path
) -> None:
    """Without ``escalation_level``; values are escaped for an address."""
    data = tmp_path / "data.json"
    data.write_text(json.dumps(DATA))
    done = subprocess.run(
        [
            tool("amtool"),
            "template",
            "render",
            f"--template.glob={root}/alertmanager/templates/*.tmpl",
            '--template.text={{ template "jelmon.title" . }}{{ template "jelmon.text" . }}',
            f"--template.data={data}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == (
        "[FIRING:1] Pipeline check out & pay has stalled\n"
        "Pipeline check out & pay has stalled Level 2 of 3: firing for 30m and not fixed.\n"
        "Nothing moved for 12m.\n"
        "Severity: critical. Since: 2026-01-31 12:00:00 UTC.\n"
        "Runbook: https://runbooks.example/PipelineStalled.md\n"
        "Silence: https://alertmanager.example/#/silences/new?filter=%7Bpipeline%3D%22check%20out%20%26%20pay%22%2C%20"
        "severity%3D%22critical%22%2C%20alertname%3D%22PipelineStalled%22%7D"
    )
