/* Whom to trust: servers, for their clients; identities, for a server. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/out.h"
#include "cli/verbs.h"
#include "client/known.h"
#include "net/url.h"
#include "server/access.h"

#define ACCESS_FILE_MAX ((size_t)16 << 20)

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

/* "HOST[:PORT]" as known_servers has it; a whole URL will do. */
static int parse_host(const char *text, char host_port[URL_HOST_MAX + 10], struct err *e)
{
	char whole[URL_HOST_MAX + 64];
	struct url u;
	int rc;

	snprintf(whole, sizeof(whole), "pqc://%.300s", text);
	if ((rc = url_parse(strstr(text, "://") != NULL ? text : whole, &u, e)) != 0)
		return rc;
	if (u.name[0] != '\0')
		return err_set(e, PQC_EUSAGE, "expected HOST[:PORT], found '%.80s'", text);
	strcpy(host_port, u.host_port);
	return 0;
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
	char path[PATH_MAX], host_port[URL_HOST_MAX + 10];
	uint8_t id[ID_LEN];
	int rc;

	if ((rc = parse_host(c->argv[0], host_port, e)) != 0 ||
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
	char path[PATH_MAX], host_port[URL_HOST_MAX + 10];
	int rc;

	if ((rc = parse_host(c->argv[0], host_port, e)) != 0 || (rc = known_path(c, path, e)) != 0)
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

/* ---- a server's clients ---- */

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
static const struct opt allow_options[] = {
	{.name = "rights",
	 .kind = OPT_TEXT,
	 .arg = "RIGHTS",
	 .def = "put,get,list",
	 .help = "Some of put, get, list and delete, with commas between, or all"},
	{.name = "path",
	 .kind = OPT_TEXT,
	 .arg = "PATTERN",
	 .def = "**",
	 .help = "Where: a name in which * stands for anything within a component, and ** at the "
		 "end for everything below"},
	{.name = "name",
	 .kind = OPT_TEXT,
	 .arg = "TEXT",
	 .help = "What the log calls this identity; without it the comment of FILE.pub"},
	{0},
};
static const struct opt *const allow_tables[] = {allow_options, access_options, common_options,
						 NULL};
static const struct opt *const deny_tables[] = {access_options, common_options, NULL};
static const struct opt *const clients_tables[] = {access_options, json_options, common_options,
						   NULL};

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

static int run_allow(struct cli *c, struct err *e)
{
	const char *name = opt_text(c->opts, "name");
	char path[PATH_MAX], comment[128];
	uint8_t id[ID_LEN];
	int rc;

	if ((rc = parse_id(c->argv[0], id, comment, e)) != 0 ||
	    (rc = access_path(c, path, e)) != 0 || (rc = path_make_parent(path, e)) != 0)
		return rc;
	if (name == NULL && comment[0] != '\0')
		name = comment;
	rc = access_file_allow(path, id, opt_text(c->opts, "rights"), opt_text(c->opts, "path"),
			       name, e);
	if (rc != 0)
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

/* A line of a file that access_load accepted. */
static void tell_client(const struct cli *c, char *line)
{
	static const char blanks[] = " \t\r";
	char *rest, *id = strtok_r(line, blanks, &rest), *rights, *pattern;
	struct json j;

	if (id == NULL || id[0] == '#')
		return;
	rights = strtok_r(NULL, blanks, &rest);
	pattern = strtok_r(NULL, blanks, &rest);
	rest += strspn(rest, blanks);
	if (!opt_flag(c->opts, "json")) {
		out("%s %s %s%s%s\n", id, rights, pattern, *rest != '\0' ? " " : "", rest);
		return;
	}
	json_begin(&j, "client");
	json_str(&j, "id", id);
	json_str(&j, "rights", rights);
	json_str(&j, "path", pattern);
	json_str(&j, "name", rest);
	json_end(&j);
}

static int run_clients(struct cli *c, struct err *e)
{
	struct buf b = BUF_INIT(ACCESS_FILE_MAX);
	char path[PATH_MAX], *text, *line;
	struct access *a = NULL;
	int rc;

	if ((rc = access_path(c, path, e)) != 0 || (rc = access_load(path, &a, e)) != 0)
		goto out;
	if ((rc = file_slurp(AT_FDCWD, path, &b, e)) != 0) {
		rc = rc == PQC_ENOTFOUND ? 0 : rc; /* nobody */
		goto out;
	}
	if (buf_cstr(&b) == NULL) {
		rc = err_set(e, PQC_ENOMEM, "out of memory");
		goto out;
	}
	text = (char *)b.p;
	while ((line = strsep(&text, "\n")) != NULL)
		tell_client(c, line);
out:
	access_free(a);
	buf_free(&b);
	return rc != 0 ? rc : out_finish(e);
}

const struct verb verb_trust_allow = {
	.name = "trust allow",
	.operands = "ID|FILE.pub",
	.summary = "let an identity use your server",
	.text = "Adds a line to the server's access file; several lines for one identity add up. "
		"What no line allows is refused.",
	.examples = "pqc trust allow --data-dir /srv/pqc alice.pub\n"
		    "pqc trust allow --rights get,list --path 'public/**' bob.pub\n",
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
	.text = "The lines of the server's access file: id, rights, path, name.",
	.options = clients_tables,
	.min = 0,
	.max = 0,
	.run = run_clients,
};
