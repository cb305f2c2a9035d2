/* Which servers to trust. Whom a server trusts is in cmd_trust_clients.c. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/out.h"
#include "cli/verbs.h"
#include "client/known.h"

static const struct opt json_options[] = {
	{.name = "json", .kind = OPT_FLAG, .help = "Print results as JSON objects, one a line"},
	{0},
};

/* ---- servers ---- */

static const struct opt server_options[] = {
	{.name = "known-servers",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Servers whose identity is known; without it $PQC_HOME/known_servers"},
	{0},
};
static const struct opt *const server_tables[] = {server_options, json_options, common_options,
						  NULL};

static int known_path(const struct cli *c, char path[PATH_MAX], struct err *e)
{
	int rc = path_option(c, "known-servers", "known_servers", path, e);

	return rc != 0 ? rc : path_make_parent(path, e);
}

static int tell_server(void *arg, const char *host_port, const uint8_t *id)
{
	const struct cli *c = arg;
	char hex[2 * ID_LEN + 1];
	struct json j;

	hex_encode(id, ID_LEN, hex);
	if (opt_flag(c->opts, "json")) {
		json_begin(&j, "server");
		json_str(&j, "server", host_port);
		json_str(&j, "server_id", hex);
		json_end(&j);
	} else {
		out("%s %s\n", host_port, hex);
	}
	return 0;
}

static int run_list(struct cli *c, struct err *e)
{
	char path[PATH_MAX];
	int rc;

	if ((rc = known_path(c, path, e)) != 0 || (rc = known_list(path, tell_server, c, e)) != 0)
		return rc;
	return out_finish(e);
}

static int run_add(struct cli *c, struct err *e)
{
	char path[PATH_MAX], host_port[KNOWN_HOST_MAX];
	uint8_t id[ID_LEN];
	int rc;

	if ((rc = known_host(c->argv[0], host_port, e)) != 0 ||
	    (rc = parse_id(c->argv[1], id, NULL, e)) != 0 || (rc = known_path(c, path, e)) != 0)
		return rc;
	if ((rc = known_add(path, host_port, id, e)) == PQC_EEXIST)
		err_set(e, PQC_EIDENTITY_CHANGED,
			"another identity is known for %s; if its owner confirms the new one: pqc "
			"trust remove %s",
			host_port, host_port);
	if (rc != 0)
		return rc == PQC_EEXIST ? PQC_EIDENTITY_CHANGED : rc;
	tell_server(c, host_port, id);
	return out_finish(e);
}

static int run_remove(struct cli *c, struct err *e)
{
	char path[PATH_MAX], host_port[KNOWN_HOST_MAX];
	int rc;

	if ((rc = known_host(c->argv[0], host_port, e)) != 0 || (rc = known_path(c, path, e)) != 0)
		return rc;
	return known_remove(path, host_port, e);
}

const struct verb verb_trust_list = {
	.name = "trust list",
	.operands = "",
	.summary = "list the servers whose identity is known",
	.text = "Each server's HOST:PORT, and its identity.",
	.options = server_tables,
	.min = 0,
	.max = 0,
	.run = run_list,
};

const struct verb verb_trust_add = {
	.name = "trust add",
	.operands = "HOST[:PORT] ID|FILE.pub",
	.summary = "remember a server's identity",
	.text = "From then on a server at HOST:PORT, port 8765, must prove that it is this one. "
		"Get ID or FILE.pub from whoever runs it, in a way that you trust.",
	.examples = "pqc trust add files.example.org server.pub\n",
	.options = server_tables,
	.min = 2,
	.max = 2,
	.run = run_add,
};

const struct verb verb_trust_remove = {
	.name = "trust remove",
	.operands = "HOST[:PORT]",
	.summary = "forget a server's identity",
	.text = "To be followed by 'pqc trust add' when a server was set up anew.",
	.examples = "pqc trust remove files.example.org\n",
	.options = server_tables,
	.min = 1,
	.max = 1,
	.run = run_remove,
};
