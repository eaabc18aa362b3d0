"""Templates are read as Go reads them: what promtool refuses is refused, and more that fails when it is expanded."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from jelmon_generators.go_templates.fields import check_alert_text
from jelmon_generators.go_templates.lexer import TemplateError

VALID = """\
no template at all, }} and { { are text
{{ $value }}
{{$value|humanize}}
{{-  $value  -}}
{{ printf "%.2f" $value }} {{ printf `raw` }}
{{ with query "up" }}{{ . | first | value | humanize }}{{ end }}
{{ range query "up" }}{{ .Labels.anything }}{{ .Value }}{{ else }}nothing{{ end }}
{{ range $i, $e := query "up" }}{{ $i }}{{ $e.Value }}{{ break }}{{ continue }}{{ end }}
{{ $x := 1 }}{{ $x = 2 }}{{ $x }}
{{ if gt $value 1.0 }}a{{ else if lt $value 0.5 }}b{{ else }}c{{ end }}
{{ define "a" }}x{{ end }}{{ template "a" }}
{{ block "a" . }}{{ .Value }}{{ end }}
{{/* a comment */}}{{- /* trimmed */ -}}
{{ (len "a") }} {{ "a" | len }} {{ 1.5 }} {{ .5 }} {{ -1 }} {{ +1.5e3 }} {{ 0x1F }} {{ 'a' }} {{ true }}
{{ .Labels.stage }} {{ $labels.stage }} {{ (.Labels).stage }} {{ index $labels "stage" }}
{{ with .Labels }}{{ .stage }}{{ $.Value }}{{ end }}
{{ if $x := $value }}{{ $x }}{{ else }}{{ $x }}{{ end }}
{{ "}}" }} {{ "{{" }} {{ "\\t\\x41\\u00e9" }}
{{ and true (not false) }} {{ printf "%v" (.Labels.stage) | title }}
{{ (toTime 1.0).Format "2006" }} {{ $externalLabels.region }} {{ .ExternalURL }} {{ externalURL }} {{ pathPrefix }}
{{ 1.0 | humanize1024 }}{{ humanizeTimestamp 1.0 }}{{ toTime 1.0 }}{{ parseDuration "1m" }}{{ safeHtml "a" }}
{{ label "a" (first (query "up")) }}{{ strvalue (first (query "up")) }}{{ sortByLabel "a" (query "up") }}
{{ graphLink "a" }}{{ tableLink "b" }}{{ match "a" "b" }}{{ reReplaceAll "a" "b" "c" }}{{ stripPort "a" }}{{ args }}
""".splitlines()

REFUSED_BY_PROMETHEUS = {
    "{{ humanizeDuratio $value }}": "there is no function 'humanizeDuratio'",
    "{{ toDuration 1 }}": "there is no function 'toDuration'",
    "{{ if }}x{{ end }}": "nothing follows if",
    "{{ if $value }}x": "{{ if }} is not closed",
    "{{ if $value }}x{{ end }}{{ end }}": "{{ end }} closes nothing",
    "{{ if true }}{{ end end }}": "nothing may follow here",
    "{{ if true }}{{ end }": "'}' cannot stand in a template",
    "{{ if true }}{{ else with 1 }}{{ end }}": "only `if` may follow else",
    "{{ if true }}a{{ else }}b{{ else }}c{{ end }}": "{{ else }} has no if, range or with before it",
    "{{ else if true }}": "{{ else }} has no if, range or with before it",
    "{{ break }}": "{{ break }} is not inside a range",
    "{{ $Labels.stage }}": "there is no variable '$Labels'",
    "{{ if $x := 1 }}{{ end }}{{ $x }}": "there is no variable '$x'",
    '{{ define "a" }}{{ $labels }}{{ end }}': "there is no variable '$labels'",
    '{{ if 1 }}{{ define "a" }}x{{ end }}{{ end }}': "define is only possible outside of other actions",
    '{{ range $i, $e, $f := query "up" }}{{ end }}': "too many variables",
    "{{ $value": "a template is not closed",
    "{{ {{ }}": "a template is not closed",
    "{{ }}": "nothing follows command",
    "{{ | humanize }}": "nothing follows command",
    '{{ printf "%.2f $value }}': "a string is not closed",
    '{{ "\\q" }}': 'invalid escape in "\\q"',
    '{{ (len "a" }}': "a parenthesis is not closed",
    '{{ len "a") }}': "')' closes nothing",
    '{{ len "a" | "b" }}': '"b" is not a function',
    '{{ "a".Length }}': '"a" has no fields',
    '{{ print"a" }}': "'\"' cannot follow 'print'",
    '{{ print "a""b" }}': "unexpected '\"b\"'",
    "{{ 1.5x }}": "'x' cannot follow '1.5'",
    "{{ $value@ }}": "'@' cannot follow '$value'",
    "{{ template a }}": "template needs a name in quotes",
    "{{ /* a comment */ }}": "'/' cannot stand in a template",
    "{{/* a comment }}": "the comment is not closed",
}
WRONG_WHEN_EXPANDED = {
    "{{ .Labels.stagee }}": "the alert has no label 'stagee'",
    '{{ index $labels "stagee" }}': "the alert has no label 'stagee'",
    "{{ with .Labels }}{{ .stagee }}{{ end }}": "the alert has no label 'stagee'",
    "{{ $labels.severity }}": "the alert has no label 'severity'",
    "{{ .labels.stage }}": "an alert has no field 'labels'",
    "{{ $labels.stage.name }}": "$labels.stage is a text and has no field 'name'",
    "{{ $value.Count }}": "$value is a number and has no field 'Count'",
    '{{ range query "up" }}{{ .value }}{{ end }}': "a sample has no field 'value'",
    '{{ with query "up" }}{{ .Value }}{{ end }}': ". is a list of samples and has no field 'Value'",
    "{{ if gt $value }}x{{ end }}": "gt has 1 argument, and needs 2",
    "{{ $value | humanize 1 }}": "humanize has 2 arguments, and needs 1",
    "{{ $value humanize }}": "$value is not a function",
    "{{ .Value .Value }}": ".Value is not a function",
    "{{ $value | }}": "nothing follows '|'",
    "{{ nil }}": "nil is not a command",
    "{{ $x = 1 }}": "there is no variable '$x'",
    '{{ template "jelmon.title" . }}': "there is no template 'jelmon.title'",
}


def message(text: str) -> str | None:
    """What we say about a text of an alert with one label, ``stage``."""
    try:
        check_alert_text(text, {"stage"})
    except TemplateError as error:
        return error.message
    return None


@pytest.mark.parametrize("text", VALID)
def test_a_valid_template_is_accepted(text: str) -> None:
    """Whatever Go allows."""
    assert message(text) is None


@pytest.mark.parametrize(("text", "expected"), [*REFUSED_BY_PROMETHEUS.items(), *WRONG_WHEN_EXPANDED.items()])
def test_an_invalid_template_is_refused(text: str, expected: str) -> None:
    """The message says why; also where the text around it has other words."""
    assert message(text) == expected
    assert message(f"before {text} after") is not None


def test_promtool_agrees(tool: Callable[[str], Path], tmp_path: Path) -> None:
    """It refuses each text that we list as refused by Prometheus, and accepts all others."""
    texts = [*VALID, *WRONG_WHEN_EXPANDED, *REFUSED_BY_PROMETHEUS]
    rules = [
        {"alert": f"A{number}", "expr": "up == 0", "annotations": {"a": text}} for number, text in enumerate(texts)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))

    done = subprocess.run([tool("promtool"), "check", "rules", file], capture_output=True, text=True, check=False)

    refused = {texts[int(number)] for number in re.findall(r'rule \d+, "A(\d+)"', done.stdout + done.stderr)}
    newer_functions = {"{{ toDuration 1 }}"}  # known to later versions
    assert refused | newer_functions == REFUSED_BY_PROMETHEUS.keys() | newer_functions


def test_texts_that_differ_in_words_are_checked_once() -> None:
    """A thousand objectives have the same templates: reading each again would take most of the compiler's time."""
    from jelmon_generators.go_templates import fields

    fields._check.cache_clear()
    for number in range(100):
        check_alert_text(f"objective {number} of {{{{ $labels.stage }}}} missed", {"stage"})

    assert fields._check.cache_info().misses == 1
