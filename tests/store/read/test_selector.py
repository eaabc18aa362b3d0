"""Selectors on the command line."""

import pytest

from jelmon.errors import ConfigError
from jelmon_store.read.matchers import MatcherKind
from jelmon_store.read.selector import parse_selector

GOOD = {
    "up": [("=", "__name__", "up")],
    'up{job="api"}': [("=", "__name__", "up"), ("=", "job", "api")],
    " up { job != 'x' , a=~`b\\d` , } ": [("=", "__name__", "up"), ("!=", "job", "x"), ("=~", "a", "b\\d")],
    '{__name__=~"a.*",b!~"c|d"}': [("=~", "__name__", "a.*"), ("!~", "b", "c|d")],
    'a:b{c="say \\"hi\\" \\u00e9, }{"}': [("=", "__name__", "a:b"), ("=", "c", 'say "hi" \u00e9, }{')],
    "a{c='say \\'ho\\' \"'}": [("=", "__name__", "a"), ("=", "c", "say 'ho' \"")],
}
BAD = {
    "": "it must contain a matcher",
    "{}": "it must contain a matcher",
    '{a=""}': "it must contain a matcher",
    '{a=~".*"}': "it must contain a matcher",
    "up[5m]": "expected {label=",
    "rate(up)": "expected {label=",
    'up{job="api"': "expected {label=",
    "up{job=api}": "cannot read 'job=api'",
    'up{job="a" b="c"}': "expected a comma before",
    'up{job=~"a("}': "matcher for label 'job': invalid regex",
    'up{job="\\q"}': "unknown escape",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_selector_is_read_as_prometheus_reads_it(text: str) -> None:
    """Names, every kind of matcher and quote, escapes, blanks and a comma at the end."""
    symbols = dict(zip(MatcherKind, ("=", "!=", "=~", "!~"), strict=True))

    assert [(symbols[one.kind], one.name, one.value) for one in parse_selector(text)] == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused_with_the_reason(text: str) -> None:
    """Above all what would select everything."""
    with pytest.raises(ConfigError) as caught:
        parse_selector(text)

    assert BAD[text] in caught.value.message
