#include "base/text.h"
#include "cli/client_setup.h"
#include "cli/out.h"
#include "cli/verbs.h"

static const struct opt *const tables[] = {client_options, identity_options, common_options, NULL};

static int each(void *arg, const struct entry *en)
{
	struct session_ui *s = arg;
	char owner[2 * ID_LEN + 1], size[16], time[32];
	struct json j;

	meter_end(&s->meter);
	hex_encode(en->owner, ID_LEN, owner);
	if (s->json) {
		json_begin(&j, "object");
		json_str(&j, "name", en->name);
		json_u64(&j, "size", en->size);
		json_str(&j, "time", fmt_time(en->time, time));
		json_str(&j, "owner_id", owner);
		json_str(&j, "trace_id", s->info.trace_id);
		json_end(&j);
	} else {
		out("%12s  %s  %.16s  %s\n", fmt_size(en->size, size), fmt_time(en->time, time),
		    owner, en->name);
	}
	return 0;
}

static int run(struct cli *c, struct err *e)
{
	struct session_ui s;
	struct url u;
	int rc;

	if ((rc = url_parse(c->argv[0], &u, e)) != 0)
		return rc;
	if ((rc = session_begin(&s, c, &u, true, e)) == 0)
		rc = client_list(&s.o, &u, each, &s, e);
	session_end(&s);
	return rc != 0 ? session_advise(rc, e) : out_finish(e);
}

const struct verb verb_list = {
	.name = "list",
	.operands = "URL",
	.summary = "list what is on a server",
	.text = "Size, time (UTC), the beginning of the owner's id, and name of every object whose "
		"name begins with that of the URL, and that you may list or get.",
	.examples = "pqc list pqc://files.example.org/\n"
		    "pqc list --json pqc://files.example.org/backups/\n",
	.options = tables,
	.min = 1,
	.max = 1,
	.run = run,
};
