/* docs/observability.md: prose, and the tables of what the program tells of itself. */
#include <stdio.h>
#include <string.h>

#include "cli/help.h"
#include "cli/out.h"
#include "telemetry/catalog.h"
#include "telemetry/metrics.h"

#define WIDTH	      100
#define REFERENCE_MAX ((size_t)1 << 20)

static const char beginning[] =
	"This page is what `pqc help --observability` prints. What to do about what you see is in "
	"[runbooks.md](runbooks.md).\n"
	"\n"
	"In short: `pqc top` on the server's machine, as the server's user, shows whether it is "
	"well, "
	"what slows it, and who is sending. For all else there are metrics for Prometheus, log "
	"lines "
	"in JSON, and traces for an OpenTelemetry collector. None of them holds a secret or a byte "
	"of "
	"a file; names of objects are left out unless `--log-names` says otherwise.";

static const char endpoints[] =
	"| path | where | what |\n"
	"|---|---|---|\n"
	"| `/health` | everywhere | JSON: the verdict, its reason, all checks; status 503 when "
	"unhealthy |\n"
	"| `/ready` | everywhere | JSON: `ready` or `not ready` and the reason; status 503 when "
	"not, "
	"also while the server drains |\n"
	"| `/metrics` | for operators | Prometheus text 0.0.4; OpenMetrics 1.0.0, with exemplars, "
	"when "
	"`Accept` asks for `application/openmetrics-text` |\n"
	"| `/performance-metrics` | for operators | rates and quantiles of the last 1, 5 and 15 "
	"minutes in the same formats; a JSON array of name, value, timestamp, labels, unit when "
	"`Accept` asks for `application/json` |\n"
	"| `/transfers` | monitor listener and socket | JSON: transfers under way and waiting |\n";

static const char places[] =
	"*Everywhere* is the port for clients (https where it serves TLS), the monitor listener "
	"that "
	"`--metrics-listen ADDR:PORT` opens (always plain HTTP: keep it on a loopback or inner "
	"address), and the Unix socket that every process has in `DIR/run/`, mode 0600. *For "
	"operators* "
	"is the latter two; the port for clients too when there is no `--metrics-listen`.\n"
	"\n"
	"Probes of containers and balancers: `GET /ready`, or `pqc ping --ready --quiet URL`, "
	"which "
	"makes the greeting of a client too, and needs no file: exit code 0 when ready, 5 when "
	"not.";

static const char processes[] =
	"Every process has counters of its own. A port that several processes share answers for "
	"one of "
	"them, by chance: give each its own `--metrics-listen` and have Prometheus scrape them "
	"all. "
	"Sum counters over instances; histograms sum bucket by bucket, so quantiles are right "
	"(`histogram_quantile(0.95, sum by (le) (rate(pqc_commit_duration_seconds_bucket[5m])))`). "
	"Gauges of the disk are the same in all processes of a data directory: take the maximum, "
	"not "
	"the sum. `pqc top` does all this by itself.\n"
	"\n"
	"    scrape_configs:\n"
	"      - job_name: pqc\n"
	"        static_configs:\n"
	"          - targets: ['127.0.0.1:9465', '127.0.0.1:9466']\n"
	"\n"
	"No label ever holds what a client says: the number of series is fixed.";

static const char log_schema[] =
	"One line an event, on standard error, at most 4096 bytes. In JSON (`--log-format json`, "
	"and "
	"without a terminal) a line is an object that begins with `time` (RFC 3339, UTC, "
	"milliseconds), "
	"`level` (debug, info, warn, error) and `event`, followed by the event's fields. Lines of "
	"a "
	"request have `trace_id`, 32 hex digits. A text that had to be cut is marked by "
	"`\"cut\":true`. "
	"A log that nobody reads never stops the server: lines are dropped, and the next one that "
	"gets "
	"through says `\"dropped\":N`.\n"
	"\n"
	"Under systemd the lines go to journald with their priority (`--log-format journal` is "
	"chosen "
	"by itself): `journalctl -u pqc -p warning`, `journalctl -u pqc -o cat | jq`. For syslog, "
	"pipe "
	"them: `pqc serve 2>&1 | logger -t pqc`, or let rsyslog read the journal. Promtail, Vector "
	"and "
	"Fluent Bit take the JSON as it is.\n"
	"\n"
	"The event `transfer` is the access log: one line for each transfer, whatever its end. To "
	"see "
	"what a client did: `jq 'select(.event == \"transfer\" and .client_id == \"ID\")'`.";

static const char trace_text[] =
	"With `--otlp-endpoint http://HOST:4318` client and server send the spans of transfers to "
	"a "
	"collector (OTLP over HTTP, as JSON; the variable OTEL_EXPORTER_OTLP_ENDPOINT works too). "
	"A "
	"collector that is slow or away costs nothing but the spans: they wait in a queue of fixed "
	"size "
	"and are dropped when it is full, which `pqc_trace_spans_total` counts.\n"
	"\n"
	"Every request has a trace id, collector or not. The client makes it, or takes it from the "
	"variable TRACEPARENT, and tells it to the server inside the encrypted request; `--json` "
	"shows "
	"it. So when a user complains, ask for the `trace_id` of his output, and find the server's "
	"lines "
	"with it:\n"
	"\n"
	"    pqc send --json report.tar pqc://files.example.org/ | jq -r .trace_id\n"
	"    journalctl -u pqc -o cat | jq 'select(.trace_id == \"4bf92f35...\")'\n"
	"\n"
	"The same id is in the exemplars of the histograms, so that a slow bucket leads to a "
	"trace, and "
	"in `/transfers` while the transfer runs.\n"
	"\n"
	"The client's phases follow each other, and add up to its root; each connection of a "
	"transfer "
	"has its own. The server's root `put` or `get` is a child of the client's root. Spans of "
	"work on "
	"parts last from the first part to the last, and overlap: how long was worked is "
	"`pqc.busy_seconds`, on `pqc.parts` parts. A `transfer` whose `fsync` or `write` is busy "
	"most of "
	"the time waits for the disk, one whose `verify` is for the processor; when none is, for "
	"the "
	"network or the other side.";

/* ---- parts of a page ---- */

/* Paragraphs are wrapped; what is indented stays as it is. */
static void prose(const char *text)
{
	const struct help_wrap w = {.f = stdout, .width = WIDTH};
	const char *p;
	size_t n;

	while ((p = help_paragraph(&text, &n)) != NULL) {
		putchar('\n');
		if (*p == ' ')
			printf("%.*s\n", (int)n, p);
		else
			help_wrap(&w, p, n);
	}
}

static void heading(const char *title, const char *columns)
{
	printf("\n## %s\n", title);
	if (columns == NULL)
		return;
	printf("\n%s\n", columns);
	for (const char *p = columns; *p != '\0'; p++)
		if (*p == '|')
			fputs(p[1] != '\0' ? "|---" : "|\n", stdout);
}

/* "a b" as `a`, `b` */
static void words(const char *s)
{
	while (*s != '\0') {
		size_t n = strcspn(s, " ");

		printf("`%.*s`%s", (int)n, s, s[n] != '\0' ? ", " : "");
		s += n + (s[n] != '\0');
	}
}

static void checks(void)
{
	heading("Health checks", "| check | degraded | unhealthy | then |");
	for (const struct catalog_check *c = catalog_checks; c->name != NULL; c++)
		printf("| `%s` | %s | %s | %s |\n", c->name, c->degraded, c->unhealthy, c->advice);
	prose("The worst check is the verdict. A server that drains is degraded at least. "
	      "`pqc_health_status` has the checks as numbers: 0 healthy, 1 degraded, 2 unhealthy; "
	      "a "
	      "change of the verdict is logged as `health.changed`.");
}

static int metrics(struct err *e)
{
	struct buf b = BUF_INIT(REFERENCE_MAX);
	int rc = metrics_reference(&b);
	const char *text = buf_cstr(&b);

	heading("Metrics", NULL);
	prose(processes);
	putchar('\n');
	if (rc == 0 && text != NULL)
		out_text(text);
	else
		rc = err_set(e, PQC_ENOMEM, "out of memory");
	buf_free(&b);
	return rc;
}

static void events(void)
{
	heading("Log", NULL);
	prose(log_schema);
	heading("Log events", "| event | level | fields | meaning |");
	for (const struct catalog_event *c = catalog_events; c->name != NULL; c++) {
		printf("| `%s` | %s | ", c->name, c->level);
		words(c->fields);
		printf(" | %s |\n", c->meaning);
	}
	heading("Log fields", "| field | type | meaning |");
	for (const struct catalog_field *c = catalog_fields; c->name != NULL; c++)
		printf("| `%s` | %s | %s |\n", c->name, c->type, c->meaning);
}

static void spans(void)
{
	heading("Traces", NULL);
	prose(trace_text);
	heading("Spans", "| span | below | kind | attributes | meaning |");
	for (const struct catalog_span *c = catalog_spans; c->name != NULL; c++) {
		printf("| `%s` | %s | %s | ", c->name, c->parent, c->kind);
		words(c->attributes);
		printf(" | %s |\n", c->meaning);
	}
}

static void alerts(void)
{
	heading("Alerts", NULL);
	prose("The rules are in infra/monitoring/pqc_alerts.yml. Each name has a section in "
	      "[runbooks.md](runbooks.md): what it means for users, where to look, what to do, "
	      "when "
	      "it heals. A name with two severities is one trouble in two grades.");
	printf("\n| alert | severity | what it says |\n|---|---|---|\n");
	for (const struct catalog_alert *c = catalog_alerts; c->name != NULL; c++)
		printf("| `%s` | %s | %s |\n", c->name, c->severity, c->meaning);
}

int help_observability(struct err *e)
{
	int rc;

	out_text("# What the server tells of itself\n");
	prose(beginning);
	heading("Endpoints", NULL);
	putchar('\n');
	out_text(endpoints);
	prose(places);
	checks();
	if ((rc = metrics(e)) != 0)
		return rc;
	events();
	spans();
	alerts();
	return 0;
}
