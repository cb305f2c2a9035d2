"""scripts/check-observability notices each way in which sources and catalog can differ."""

import re
import subprocess

import pytest
from harness import TOP

CATALOG = '''
#define PARTS "pqc.parts"
const struct catalog_event catalog_events[] = {
	/* "a.comment" is none */
	{"put.begun", "info", "name bytes", "It " "began, {really}."},
	{"put.done", "info or warn", "name",
	 "Done."},
	{NULL, NULL, NULL, NULL},
};
const struct catalog_field catalog_fields[] = {
	{"name", "text", "A name."},
	{"bytes", "number", "How many."},
	{NULL, NULL, NULL},
};
const struct catalog_span catalog_spans[] = {
	{"put", "none", "server", PARTS, "All."},
	{"verify", "put", "internal", "", "A part."},
	{NULL, NULL, NULL, NULL, NULL},
};
const struct catalog_alert catalog_alerts[] = {
	{"PqcSlow", "warning or critical", "Slow."},
	{NULL, NULL, NULL},
};
'''
RULES = '''
groups:
  - name: one
    rules:
      - alert: PqcSlow
        expr: x > 1
        labels: {severity: warning}
      - alert: PqcSlow
        expr: x > 2
        for: 1m
        labels: {severity: critical}
'''
SOURCE = '''
/* log_event(l, LOG_INFO, "a.comment", NULL); */
static void begin(struct logger *l)
{
	log_event(l, LOG_INFO, "put.begun",
		  (struct log_field[]){log_str("trace_id", "x, y)"), log_name("name", f(1, 2)),
				       log_u64("bytes", 1), {0}});
}

static void end(struct logger *l, bool good)
{
	struct log_field fields[] = {log_name("name", good ? "\\"" : "b"), {0}};

	log_event(l, good ? LOG_INFO : LOG_WARN, "put.done", fields);
}

static void spans(struct tracer *t)
{
	struct trace_span s = {.name = "put"};

	s.attr[0] = (struct span_attr){"pqc.parts", ATTR_U64, {.u = 1}};
	tracer_emit(t, &s);
	emit_busy(w, "verify", 1, 2);
}
'''


@pytest.fixture
def check(tmp_path):
    def run(catalog=CATALOG, source=SOURCE, rules=RULES):
        for name, text in (("src/telemetry/catalog.c", catalog), ("src/server/a.c", source),
                           ("infra/monitoring/pqc_alerts.yml", rules)):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        done = subprocess.run([TOP / "scripts" / "check-observability", tmp_path],
                              capture_output=True, text=True)
        assert (done.returncode == 0) == (done.stdout + done.stderr == "")
        return done.stdout + done.stderr

    return run


def test_agreement(check):
    assert check() == ""


@pytest.mark.parametrize("old, new, says", [
    ('"put.begun"', '"put.began"', "event put.began: not in"),
    ('"put.begun"', '"put.began"', "event put.begun: no source has it"),
    ('"put.begun"', 'g ? "put.begun" : "put.resumed"', "event put.resumed: not in"),
    ('"put.begun"', "name_of(l)", "without a literal name"),
    ("LOG_INFO, \"put.begun\"", "LOG_ERROR, \"put.begun\"", "logged as error, the catalog says info"),
    ('log_u64("bytes", 1), ', "", "event put.begun: the catalog has a field bytes"),
    ('log_u64("bytes", 1), ', "", "field bytes: no source has it"),
    ('log_u64("bytes", 1)', 'log_bool("size", 1)', "event put.begun: field size is not"),
    ('log_u64("bytes", 1)', 'log_id("size", 1)', "field size: not in"),
    ('"\\"" : "b"), {0}', '"a" : "b"), log_f64("bytes", 1), {0}', "event put.done: field bytes"),
    ('.name = "put"', '.name = x ? "put" : "get"', "span get: not in"),
    ('.name = "put"', ".name = NULL", "span put: no source has it"),
    ('emit_busy(w, "verify"', 'emit_busy(w, "write"', "span write: not in"),
    ('"pqc.parts"', '"pqc.pieces"', "attribute pqc.pieces: not in"),
])
def test_sources_that_differ(check, old, new, says):
    assert old in SOURCE
    assert says in check(source=SOURCE.replace(old, new, 1))


@pytest.mark.parametrize("old, new, says", [
    ('"name bytes"', '"name"', "event put.begun: field bytes is not in the catalog"),
    ('"name bytes"', '"name bytes peer"', "the catalog has a field peer"),
    ('{"name", "text", "A name."},', "", "field name: not in"),
    ('"info or warn"', '"info"', "logged as info or warn"),
    ("PARTS,", '"",', "attribute pqc.parts: not in"),
    ("catalog_spans[]", "catalog_traces[]", "no table catalog_spans"),
    (', "A part."', "", "columns"),
])
def test_catalogs_that_differ(check, old, new, says):
    assert old in CATALOG
    assert says in check(catalog=CATALOG.replace(old, new, 1))


def test_the_reference_names_everything(pqc):
    """What the catalog lists stands in docs/observability.md."""
    text = pqc.ok("help", "--observability").out
    for name in re.findall(r'^\t\{"([^"]+)",', (TOP / "src/telemetry/catalog.c").read_text(), re.M):
        assert f"| `{name}` |" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 100


@pytest.mark.parametrize("old, new, says", [
    ("PqcSlow", "PqcSlower", "alert PqcSlower warning: not in"),
    ("severity: critical", "severity: info", "alert PqcSlow critical: no source has it"),
    ("severity: critical", "severity: info", "alert PqcSlow info: not in"),
])
def test_alerts_that_differ(check, old, new, says):
    assert says in check(rules=RULES.replace(old, new))
