#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client_setup.h"
#include "cli/out.h"
#include "cli/verbs.h"
#include "net/fetch.h"

#define ANSWER_MAX 65536

static const struct opt options[] = {
	{.name = "ready",
	 .kind = OPT_FLAG,
	 .help = "Ask whether it is ready for clients, as probes of containers and balancers do; "
		 "needs no file and writes none"},
	{0},
};
static const struct opt *const tables[] = {options, client_options, common_options, NULL};

static const char *suite_name(const struct ping_result *r)
{
	return r->suite != NULL ? r->suite->name : "unknown";
}

static const char *group_name(const struct ping_result *r)
{
	return r->tls_group[0] != '\0' ? r->tls_group : "no TLS";
}

/* ---- who is there ---- */

static void tell(const struct session_ui *s, const struct url *u, const struct ping_result *r)
{
	char id[2 * ID_LEN + 1];
	struct json j;

	hex_encode(r->server_id, ID_LEN, id);
	if (s->json) {
		json_begin(&j, "pong");
		json_str(&j, "server", u->host_port);
		json_str(&j, "server_id", id);
		json_str(&j, "suite", suite_name(r));
		json_bool(&j, "known", r->pinned);
		json_str(&j, "tls_group", r->tls_group);
		json_f64(&j, "seconds", r->seconds);
		json_end(&j);
		return;
	}
	out("%s: %s, %s, answered in %.1f ms\n", u->host_port, suite_name(r), group_name(r),
	    r->seconds * 1000);
	out("identity: %s, %s\n", id, r->pinned ? "known" : "not known here");
}

static int ping(const struct cli *c, const struct url *u, struct err *e)
{
	struct session_ui s;
	struct ping_result r;
	int rc;

	if ((rc = session_begin(&s, c, u, false, e)) == 0) {
		rc = client_ping(&s.o, u, &r, e);
		if (rc == 0 || rc == PQC_EUNKNOWN_SERVER)
			tell(&s, u, &r);
	}
	session_end(&s);
	return rc != 0 ? session_advise(rc, e) : out_finish(e);
}

/* ---- is it ready ---- */

/* The reason in the body of a 503, or else that there is none. */
static int not_ready(const struct buf *body, struct err *e)
{
	json_t *o = json_loadb((const char *)body->p, body->len, JSON_REJECT_DUPLICATES, NULL);
	const char *reason = json_string_value(json_object_get(o, "reason"));

	err_set(e, PQC_ETEMP, "not ready: %s", reason != NULL ? reason : "it does not say why");
	json_decref(o);
	return PQC_ETEMP;
}

/* What the server says of itself. */
static int ask_ready(const struct url *u, const struct client_opts *o, struct err *e)
{
	char url[URL_HOST_MAX + 32];
	struct buf body = BUF_INIT(ANSWER_MAX);
	const struct fetch f = {
		.url = url,
		.tls = o->tls,
		.timeout_ms = o->connect_ms,
		.answer_max = ANSWER_MAX,
		.cancel = o->cancel,
	};
	int status, rc;

	snprintf(url, sizeof(url), "http%s://%s/ready", u->tls ? "s" : "", u->host_port);
	rc = fetch_run(&f, &status, &body, e);
	if (rc == 0 && status == 503)
		rc = not_ready(&body, e);
	else if (rc == 0 && status != 200)
		rc = err_set(e, PQC_EPROTO, "/ready: expected status 200 or 503, found %d", status);
	buf_free(&body);
	return rc;
}

/*
 * What a client would see: the greeting, with a key made for it. Which identity the server has matters
 * when the option says which; an empty list of known servers knows no other.
 */
static int greet(const struct cli *c, const struct url *u, struct client_opts *o,
		 struct ping_result *r, struct err *e)
{
	const char *known = opt_text(c->opts, "known-servers");
	struct identity *id = NULL;
	int rc;

	if (identity_generate(suite_by_id(SUITE_KYBER768), &id) != 0)
		return err_set(e, PQC_ECRYPTO, "cannot make a key");
	o->identity = id;
	o->known_servers = known != NULL ? known : "/dev/null";
	rc = client_ping(o, u, r, e);
	identity_free(id);
	return rc == PQC_EUNKNOWN_SERVER ? 0 : rc;
}

static void tell_ready(const struct cli *c, const struct url *u, const struct ping_result *r,
		       uint64_t began)
{
	double seconds = (double)(clock_ms() - began) / 1000;
	struct json j;

	if (opt_flag(c->opts, "json")) {
		json_begin(&j, "ready");
		json_str(&j, "server", u->host_port);
		json_hex(&j, "server_id", r->server_id, ID_LEN);
		json_str(&j, "suite", suite_name(r));
		json_str(&j, "tls_group", r->tls_group);
		json_f64(&j, "seconds", seconds);
		json_end(&j);
	} else if (!opt_flag(c->opts, "quiet")) {
		out("%s: ready, %s, %s, answered in %.0f ms\n", u->host_port, suite_name(r),
		    group_name(r), seconds * 1000);
	}
}

/* All of it within --timeout: a probe that waits says nothing. */
static int ready(const struct cli *c, const struct url *u, struct err *e)
{
	uint64_t began = clock_ms(), limit = opt_number(c->opts, "timeout"), spent;
	struct client_opts o = {.threads = 1, .cancel = signals_flag()};
	struct ping_result r = {0};
	struct tls_ctx *tls = NULL;
	uint8_t expect[ID_LEN];
	bool expects;
	int rc;

	if ((rc = id_option(c, "server-id", expect, &expects, e)) != 0 ||
	    (u->tls && (rc = tls_client_ctx(opt_text(c->opts, "ca"), &tls, e)) != 0))
		return rc;
	signals_catch();
	o.expect_id = expects ? expect : NULL;
	o.tls = tls;
	o.connect_ms = (unsigned)limit;
	if ((rc = ask_ready(u, &o, e)) != 0) {
		err_prefix(e, "%s", u->host_port);
		goto out;
	}
	spent = clock_ms() - began;
	o.connect_ms = o.idle_ms = spent < limit ? (unsigned)(limit - spent) : 1;
	if ((rc = greet(c, u, &o, &r, e)) == 0)
		tell_ready(c, u, &r, began);
out:
	tls_ctx_unref(tls);
	return rc != 0 ? rc : out_finish(e);
}

static int run(struct cli *c, struct err *e)
{
	struct url u;
	int rc;

	if ((rc = url_parse(c->argv[0], &u, e)) != 0)
		return rc;
	return opt_flag(c->opts, "ready") ? ready(c, &u, e) : ping(c, &u, e);
}

const struct verb verb_ping = {
	.name = "ping",
	.operands = "URL",
	.summary = "see whether a server is there, and who it is",
	.text = "Connects and checks the server's signature. Needs no key and no right on the "
		"server. For a server that is not known here its identity is shown, and the exit "
		"code is 4.\n"
		"\n"
		"With --ready the server is also asked whether it is ready for clients, and any "
		"identity will do unless --server-id names one: the exit code is 0 when it is, 5 "
		"when "
		"it is not, or does not answer within --timeout.",
	.examples = "pqc ping pqc://files.example.org\n"
		    "pqc ping --ready --quiet --timeout 3s pqc://127.0.0.1:8765\n",
	.options = tables,
	.min = 1,
	.max = 1,
	.run = run,
};
