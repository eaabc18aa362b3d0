"""The report as one HTML file that loads nothing, and as PDF."""

import base64
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from markupsafe import Markup

from jelmon.errors import SourceError
from jelmon_board.charts.heat_map import heat_map
from jelmon_board.charts.line_chart import line_chart
from jelmon_board.model import lines
from jelmon_board.model.pipelines import limits_of
from jelmon_board.pages.rendering import Templates, static_file
from jelmon_board.report.gather import SHOWN, Material
from jelmon_board.report.summary import alert_costs, cost_sentence, mean, sections

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_MOST_STAGES = 40
_PDF_SECONDS = 120


def render(material: Material) -> str:
    """Return the file. Its only style is inline, and its policy allows that one and nothing else."""
    style = static_file("board.css").decode()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rows = alert_costs(material)
    return Templates().text(
        "report.html",
        {
            "policy": f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:",
            "style": Markup(style.replace("</", "<\\/")),
            "material": material,
            "sections": [(section, _charts(material, section.name)) for section in sections(material)],
            "heat": _heat(material),
            "costs": rows[:20],
            "cost": cost_sentence(rows),
            "budgets": material.snapshot.budgets,
            "suggestions": [(row.name, advice) for row in material.snapshot.pipelines for advice in row.suggestions][
                :30
            ],
            "changes": [change for row in material.snapshot.pipelines for change in row.changes][:30],
        },
    )


def pdf(html: Path, target: Path) -> None:
    """Print an HTML file with Chromium.

    Raises:
        SourceError: there is no Chromium, or it fails.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SourceError("a PDF needs Chromium", hint="apt install chromium; or print the HTML file from a browser")
    with tempfile.TemporaryDirectory(prefix="jelmon-report-", ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # Chromium refuses to run as root otherwise; the file is our own
        command = [program, *options, "--no-pdf-header-footer", f"--print-to-pdf={target.absolute()}"]
        try:
            done = subprocess.run(
                [*command, html.absolute().as_uri()], capture_output=True, timeout=_PDF_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SourceError(f"Chromium cannot print the report: {error}") from error
    if done.returncode or not target.is_file():
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise SourceError(f"Chromium cannot print the report: {''.join(last) or done.returncode}")


def _charts(material: Material, name: str) -> list[tuple[str, float | None, str, Markup]]:
    charts = []
    for line in SHOWN:
        history = material.histories.get(line.key)
        values = history.of(name) if history else ()
        if history is None or not any(value == value for value in values):
            continue
        chart = line_chart(
            values,
            title=line.title,
            unit=line.unit,
            start=history.start,
            step=history.step,
            thresholds=limits_of(material.snapshot.compared, line, material.snapshot.samples, name),
        )
        charts.append((line.title, mean(values), line.unit, chart))
    return charts


def _heat(material: Material) -> Markup | str:
    history = material.histories.get(lines.STAGE_SEVERITY.key)
    if history is None:
        return ""
    rows = {
        (key[0], key[1]): values
        for key, values in sorted(history.values.items())[:_MOST_STAGES]
        if any(value == value for value in values)
    }
    return heat_map(rows, seconds=material.span.seconds, with_pipeline=True, linked=False) if rows else ""
