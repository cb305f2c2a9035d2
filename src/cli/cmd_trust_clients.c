/* Whom a server trusts: identities, what they may do, and roles that several of them have. */
#include <string.h>

#include "base/text.h"
#include "cli/out.h"
#include "cli/verbs.h"
#include "server/access.h"

#define QUOTA_MAX (UINT64_C(1) << 62)

static const struct opt access_options[] = {
	{.name = "data-dir",
	 .letter = 'd',
	 .kind = OPT_DIR,
	 .arg = "DIR",
	 .help = "The server's data directory; without it $PQC_HOME/server"},
	{.name = "access-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Who may do what; without it DIR/authorized"},
	{0},
};
static const struct opt json_options[] = {
	{.name = "json", .kind = OPT_FLAG, .help = "Print results as JSON objects, one a line"},
	{0},
};
static const struct opt rights_options[] = {
	{.name = "rights",
	 .kind = OPT_TEXT,
	 .arg = "RIGHTS",
	 .def = ACCESS_DEFAULT_RIGHTS,
	 .help = "Some of put, get, list and delete, with commas between, or all"},
	{.name = "path",
	 .kind = OPT_TEXT,
	 .arg = "PATTERN",
	 .def = ACCESS_DEFAULT_PATTERN,
	 .help = "Where: a name in which * stands for anything within a component, ** at the end "
		 "for everything below, {id} for the identity's id and {name} for its name"},
	{0},
};
static const struct opt allow_options[] = {
	{.name = "role",
	 .kind = OPT_TEXT,
	 .arg = "NAME",
	 .help = "Give the rights and paths of this role instead of --rights and --path"},
	{.name = "name",
	 .kind = OPT_TEXT,
	 .arg = "TEXT",
	 .help = "What people, and {name} in paths, call this identity; without it the comment of "
		 "FILE.pub"},
	{.name = "quota",
	 .kind = OPT_SIZE,
	 .arg = "SIZE",
	 .max = QUOTA_MAX,
	 .help = "How much its objects may take together; without it no limit of its own"},
	{0},
};
static const struct opt *const allow_tables[] = {rights_options, allow_options, access_options,
						 common_options, NULL};
static const struct opt *const role_tables[] = {rights_options, access_options, common_options,
						NULL};
static const struct opt *const deny_tables[] = {access_options, common_options, NULL};
static const struct opt *const list_tables[] = {access_options, json_options, common_options, NULL};

static int access_path(const struct cli *c, char path[PATH_MAX], struct err *e)
{
	char dir[PATH_MAX];
	int rc;

	if (opt_text(c->opts, "access-file") != NULL)
		return path_option(c, "access-file", "", path, e);
	if ((rc = path_option(c, "data-dir", "server", dir, e)) != 0)
		return rc;
	return path_join(dir, "authorized", path, e);
}

static void tell_reload(void)
{
	note("A running server takes this when it is sent SIGHUP.");
}

static int take_grant(const struct cli *c, struct access_grant *g, struct err *e)
{
	static const char *const alone[] = {"rights", "path"};

	g->role = opt_text(c->opts, "role");
	g->rights = opt_text(c->opts, "rights");
	g->pattern = opt_text(c->opts, "path");
	g->quota = opt_text(c->opts, "quota");
	for (size_t i = 0; g->role != NULL && i < sizeof(alone) / sizeof(alone[0]); i++)
		if (opt_origin(c->opts, alone[i]) == OPT_FROM_ARGV)
			return err_set(e, PQC_EUSAGE, "a role brings its own %s: --role or --%s",
				       alone[i], alone[i]);
	return 0;
}

static int run_allow(struct cli *c, struct err *e)
{
	struct access_grant g = {.name = opt_text(c->opts, "name")};
	char path[PATH_MAX], comment[128];
	uint8_t id[ID_LEN];
	int rc;

	if ((rc = take_grant(c, &g, e)) != 0 || (rc = parse_id(c->argv[0], id, comment, e)) != 0 ||
	    (rc = access_path(c, path, e)) != 0 || (rc = path_make_parent(path, e)) != 0)
		return rc;
	if (g.name == NULL && comment[0] != '\0')
		g.name = comment;
	if ((rc = access_file_allow(path, id, &g, e)) != 0)
		return rc;
	tell_reload();
	return out_finish(e);
}

static int run_role(struct cli *c, struct err *e)
{
	char path[PATH_MAX];
	int rc;

	if ((rc = access_path(c, path, e)) != 0 || (rc = path_make_parent(path, e)) != 0 ||
	    (rc = access_file_role(path, c->argv[0], opt_text(c->opts, "rights"),
				   opt_text(c->opts, "path"), e)) != 0)
		return rc;
	tell_reload();
	return out_finish(e);
}

static int run_deny(struct cli *c, struct err *e)
{
	char path[PATH_MAX];
	uint8_t id[ID_LEN];
	int rc;

	if ((rc = parse_id(c->argv[0], id, NULL, e)) != 0 || (rc = access_path(c, path, e)) != 0 ||
	    (rc = access_file_deny(path, id, e)) != 0)
		return rc;
	tell_reload();
	return out_finish(e);
}

/* ---- listing ---- */

static void tell_client(const struct access_line *l)
{
	char hex[2 * ID_LEN + 1];

	hex_encode(l->id, ID_LEN, hex);
	if (l->role != NULL)
		out("%s @%s", hex, l->role);
	else
		out("%s %s %s", hex, l->rights, l->pattern);
	if (l->name != NULL)
		out(" %s", l->name);
	if (l->quota != NULL)
		out(" quota=%s", l->quota);
	out("\n");
}

/* What the line does not have is left out, but for the name, which is then empty. */
static void tell_client_json(const struct access_line *l)
{
	struct json j;

	json_begin(&j, "client");
	json_hex(&j, "id", l->id, ID_LEN);
	if (l->role != NULL) {
		json_str(&j, "role", l->role);
	} else {
		json_str(&j, "rights", l->rights);
		json_str(&j, "path", l->pattern);
	}
	json_str(&j, "name", l->name != NULL ? l->name : "");
	if (l->quota != NULL)
		json_u64(&j, "quota", l->quota_bytes);
	json_end(&j);
}

static void tell_role(const struct access_line *l)
{
	out("%s %s %s\n", l->role, l->rights, l->pattern);
}

static void tell_role_json(const struct access_line *l)
{
	struct json j;

	json_begin(&j, "role");
	json_str(&j, "role", l->role);
	json_str(&j, "rights", l->rights);
	json_str(&j, "path", l->pattern);
	json_end(&j);
}

/* Tell of the lines of roles, or of those of identities. */
static int tell_lines(const struct cli *c, bool roles, void (*tell)(const struct access_line *),
		      struct err *e)
{
	const struct access_line *l;
	char path[PATH_MAX];
	struct access *a;
	int rc;

	if ((rc = access_path(c, path, e)) != 0 || (rc = access_load(path, &a, e)) != 0)
		return rc;
	for (size_t i = 0; (l = access_line(a, i)) != NULL; i++)
		if (l->is_role == roles)
			tell(l);
	access_free(a);
	return out_finish(e);
}

static int run_clients(struct cli *c, struct err *e)
{
	return tell_lines(c, false, opt_flag(c->opts, "json") ? tell_client_json : tell_client, e);
}

static int run_roles(struct cli *c, struct err *e)
{
	return tell_lines(c, true, opt_flag(c->opts, "json") ? tell_role_json : tell_role, e);
}

const struct verb verb_trust_allow = {
	.name = "trust allow",
	.operands = "ID|FILE.pub",
	.summary = "let an identity use your server",
	.text = "Adds a line to the server's access file; several lines for one identity add up. "
		"What no line allows is refused.\n"
		"\n"
		"An identity has one quota. To change it, edit the file.",
	.examples = "pqc trust allow --data-dir /srv/pqc alice.pub\n"
		    "pqc trust allow --rights get,list --path 'public/**' bob.pub\n"
		    "pqc trust allow --role sender --name hospital-7 --quota 200G hospital-7.pub\n",
	.options = allow_tables,
	.min = 1,
	.max = 1,
	.run = run_allow,
};

const struct verb verb_trust_deny = {
	.name = "trust deny",
	.operands = "ID|FILE.pub",
	.summary = "no longer let an identity use your server",
	.text = "Removes every line of this identity from the server's access file.",
	.examples = "pqc trust deny --data-dir /srv/pqc alice.pub\n",
	.options = deny_tables,
	.min = 1,
	.max = 1,
	.run = run_deny,
};

const struct verb verb_trust_clients = {
	.name = "trust clients",
	.operands = "",
	.summary = "list who may use your server",
	.text = "The lines of the server's access file: id, rights and path or @role, name, quota.",
	.options = list_tables,
	.min = 0,
	.max = 0,
	.run = run_clients,
};

const struct verb verb_trust_role = {
	.name = "trust role",
	.operands = "NAME",
	.summary = "give a role rights on your server",
	.text = "Adds a line to the server's access file; several lines for one role add up. Who "
		"has the role ('pqc trust allow --role') has its rights, each under names of "
		"their own where the path holds {id} or {name}.",
	.examples = "pqc trust role sender --rights put,list --path 'round-*/{name}/**'\n",
	.options = role_tables,
	.min = 1,
	.max = 1,
	.run = run_role,
};

const struct verb verb_trust_roles = {
	.name = "trust roles",
	.operands = "",
	.summary = "list the roles of your server",
	.text = "The roles of the server's access file: name, rights, path.",
	.options = list_tables,
	.min = 0,
	.max = 0,
	.run = run_roles,
};
