#include <string.h>

#include "base/text.h"
#include "cli/client_setup.h"
#include "cli/out.h"
#include "cli/verbs.h"

static const struct opt *const tables[] = {client_options, identity_options, common_options, NULL};

static void tell(struct session_ui *s, const struct url *u)
{
	struct json j;

	meter_end(&s->meter);
	if (s->json) {
		json_begin(&j, "deleted");
		json_str(&j, "name", u->name);
		json_f64(&j, "queue_seconds", s->info.queue_seconds);
		json_str(&j, "trace_id", s->info.trace_id);
		json_end(&j);
	} else if (!s->quiet) {
		note("%s: deleted", u->name);
	}
}

static int run(struct cli *c, struct err *e)
{
	struct session_ui s;
	struct url u;
	int rc;

	if ((rc = url_parse(c->argv[0], &u, e)) != 0 ||
	    (rc = name_check(u.name, strlen(u.name), e)) != 0)
		return rc;
	if ((rc = session_begin(&s, c, &u, true, e)) == 0 && (rc = client_delete(&s.o, &u, e)) == 0)
		tell(&s, &u);
	session_end(&s);
	return rc != 0 ? session_advise(rc, e) : out_finish(e);
}

const struct verb verb_delete = {
	.name = "delete",
	.operands = "URL",
	.summary = "delete an object that you own",
	.text = "One object, by its whole name. Its receipt, where you kept it, stays valid as a "
		"statement of what was stored.",
	.examples = "pqc delete pqc://files.example.org/backups/old.tar\n",
	.options = tables,
	.min = 1,
	.max = 1,
	.run = run,
};
