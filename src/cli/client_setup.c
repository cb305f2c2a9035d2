#include "cli/client_setup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/out.h"
#include "net/stream.h"

#define FLUSH_MS 1000 /* that the last spans may take at the end */

static int on_progress(void *arg, const struct progress *p)
{
	struct session_ui *s = arg;

	if (p->committing)
		meter_phase(&s->meter, "all is there; waiting for the receipt");
	else
		meter_update(&s->meter, p->done, p->total, p->resumed);
	return 0;
}

static void on_notice(void *arg, const char *event, const char *text)
{
	struct session_ui *s = arg;

	meter_note(&s->meter, "%s: %s: %s", s->meter.label, event, text);
}

static int on_queued(void *arg, uint32_t position, uint64_t estimate_ms)
{
	struct session_ui *s = arg;
	bool json = s->json && !s->data_out;
	struct json j;

	if (s->quiet || !meter_place_due(&s->meter, position, json || !s->meter.tty))
		return 0;
	if (!json) {
		meter_place(&s->meter, s->url->host_port, position, estimate_ms);
		return 0;
	}
	json_begin(&j, "queued");
	json_str(&j, "server", s->url->host_port);
	json_str(&j, "name", s->url->name);
	json_u64(&j, "position", position);
	json_f64(&j, "estimate_seconds",
		 estimate_ms == UINT64_MAX ? NAN : (double)estimate_ms / 1000);
	json_end(&j);
	return 0;
}

static int find_paths(struct session_ui *s, const struct cli *c, struct err *e)
{
	int rc;

	if ((rc = path_option(c, "known-servers", "known_servers", s->known, e)) != 0 ||
	    (rc = home_path("state", s->state, e)) != 0 ||
	    (rc = path_make_parent(s->known, e)) != 0)
		return rc;
	s->o.known_servers = s->known;
	s->o.state_dir = s->state;
	return file_mkdirs(s->state, 0700, e);
}

/* ping identifies nobody; the client's interface wants a key all the same, so any will do. */
static int find_identity(struct session_ui *s, const struct cli *c, bool needed, struct err *e)
{
	int rc = needed ? own_identity(c, "passphrase-file", &s->identity, e) : 0;

	if (rc == 0 && !needed && identity_generate(suite_by_id(SUITE_KYBER768), &s->identity) != 0)
		rc = err_set(e, PQC_ECRYPTO, "cannot make a key");
	s->o.identity = s->identity;
	return rc;
}

/* Who started us may have a trace of its own (W3C Trace Context, in the environment's spelling). */
static void find_parent(struct session_ui *s)
{
	const char *text = getenv("TRACEPARENT");

	if (text == NULL || text[0] == '\0')
		return;
	if (trace_parse(text, strlen(text), &s->parent) == 0)
		s->o.parent = &s->parent;
	else
		meter_note(&s->meter, "TRACEPARENT is malformed, and left aside");
}

/* A collector that all programs here are pointed at may be none of ours; one named to us must be. */
static int find_collector(struct session_ui *s, const struct cli *c, struct err *e)
{
	struct tracer_opts t = {.endpoint = opt_text(c->opts, "otlp-endpoint"),
				.service_name = "pqc",
				.ca_file = opt_text(c->opts, "ca")};
	int rc;

	if (t.endpoint == NULL || (rc = tracer_new(&s->tracer, &t, e)) == 0)
		s->o.tracer = s->tracer;
	else if (rc == PQC_ECONFIG && opt_origin(c->opts, "otlp-endpoint") == OPT_FROM_OLD_ENV)
		meter_note(&s->meter, "no traces: %s", e->msg);
	else
		return rc;
	return 0;
}

int session_begin(struct session_ui *s, const struct cli *c, const struct url *u,
		  bool with_identity, struct err *e)
{
	bool expects;
	int rc;

	memset(s, 0, sizeof(*s));
	s->json = opt_flag(c->opts, "json");
	s->quiet = opt_flag(c->opts, "quiet");
	s->o.accept_new = opt_flag(c->opts, "accept-new");
	s->o.connect_ms = (unsigned)opt_number(c->opts, "timeout");
	s->o.idle_ms = (unsigned)opt_number(c->opts, "idle-timeout");
	s->o.retry_ms = opt_number(c->opts, "retry-for");
	s->o.threads = 1;
	s->o.progress = on_progress;
	s->o.notice = on_notice;
	s->o.queued = on_queued;
	s->o.arg = s;
	s->o.info = &s->info;
	s->url = u;
	s->o.cancel = signals_flag();
	meter_begin(&s->meter, u->host_port, s->quiet);
	if ((rc = id_option(c, "server-id", s->expect, &expects, e)) != 0 ||
	    (rc = find_paths(s, c, e)) != 0)
		return rc;
	s->o.expect_id = expects ? s->expect : NULL;
	if (u->tls && (rc = tls_client_ctx(opt_text(c->opts, "ca"), &s->tls, e)) != 0)
		return rc;
	s->o.tls = s->tls;
	find_parent(s);
	if (with_identity && (rc = find_collector(s, c, e)) != 0)
		return rc;
	signals_catch();
	return find_identity(s, c, with_identity, e);
}

void session_end(struct session_ui *s)
{
	meter_end(&s->meter);
	identity_free(s->identity);
	tls_ctx_unref(s->tls);
	tracer_free(s->tracer, FLUSH_MS);
}

double session_rate(const struct session_ui *s, const struct transfer_result *r)
{
	double seconds = r->seconds - s->info.queue_seconds;

	return seconds > 0 ? (double)(r->size - r->resumed_bytes) / seconds : 0;
}

int session_advise(int rc, struct err *e)
{
	if (rc == PQC_EINTERRUPTED)
		err_set(e, rc, "interrupted; run the same command again to go on where it stopped");
	return rc;
}

static bool is_of_one_file(int rc)
{
	return rc == PQC_ENOTFOUND || rc == PQC_EREFUSED || rc == PQC_EEXIST || rc == PQC_ENAME ||
	       rc == PQC_EIO || rc == PQC_ECHANGED || rc == PQC_EINTEGRITY || rc == PQC_ETOOBIG;
}

int session_carry_on(struct session_ui *s, const char *what, int rc, struct err *e)
{
	if (rc == 0 || !is_of_one_file(rc))
		return rc;
	err_prefix(e, "%s", what);
	out_error("pqc", rc, e, s->json);
	if (s->failed++ == 0)
		s->failed_rc = rc;
	return 0;
}

int session_verdict(const struct session_ui *s, struct err *e)
{
	if (s->failed == 0)
		return 0;
	return err_set(e, s->failed_rc, "%u file%s failed for the reasons above", s->failed,
		       s->failed == 1 ? "" : "s");
}
