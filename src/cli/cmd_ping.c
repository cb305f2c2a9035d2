#include "base/text.h"
#include "cli/client_setup.h"
#include "cli/out.h"
#include "cli/verbs.h"

static const struct opt *const tables[] = {client_options, common_options, NULL};

static void tell(const struct session_ui *s, const struct url *u, const struct ping_result *r)
{
	char id[2 * ID_LEN + 1];
	const char *suite = r->suite != NULL ? r->suite->name : "unknown";
	struct json j;

	hex_encode(r->server_id, ID_LEN, id);
	if (s->json) {
		json_begin(&j, "pong");
		json_str(&j, "server", u->host_port);
		json_str(&j, "server_id", id);
		json_str(&j, "suite", suite);
		json_bool(&j, "known", r->pinned);
		json_str(&j, "tls_group", r->tls_group);
		json_f64(&j, "seconds", r->seconds);
		json_end(&j);
		return;
	}
	out("%s: %s, %s, answered in %.1f ms\n", u->host_port, suite,
	    r->tls_group[0] != '\0' ? r->tls_group : "no TLS", r->seconds * 1000);
	out("identity: %s, %s\n", id, r->pinned ? "known" : "not known here");
}

static int run(struct cli *c, struct err *e)
{
	struct session_ui s;
	struct ping_result r;
	struct url u;
	int rc;

	if ((rc = url_parse(c->argv[0], &u, e)) != 0)
		return rc;
	if ((rc = session_begin(&s, c, &u, false, e)) == 0) {
		rc = client_ping(&s.o, &u, &r, e);
		if (rc == 0 || rc == PQC_EUNKNOWN_SERVER)
			tell(&s, &u, &r);
	}
	session_end(&s);
	return rc != 0 ? session_advise(rc, e) : out_finish(e);
}

const struct verb verb_ping = {
	.name = "ping",
	.operands = "URL",
	.summary = "see whether a server is there, and who it is",
	.text = "Connects and checks the server's signature. Needs no key and no right on the "
		"server. For a server that is not known here its identity is shown, and the exit "
		"code is 4.",
	.examples = "pqc ping pqc://files.example.org\n",
	.options = tables,
	.min = 1,
	.max = 1,
	.run = run,
};
