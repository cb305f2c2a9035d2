#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/client_setup.h"
#include "cli/out.h"
#include "cli/verbs.h"
#include "client/defaults.h"

#define NAMES_MAX ((size_t)64 << 20) /* bytes of names of one prefix */

static const struct opt options[] = {
	{.name = "out",
	 .letter = 'o',
	 .kind = OPT_FILE,
	 .arg = "FILE|DIR|-",
	 .help = "Where it goes; without it a file of its own name, here"},
	{.name = "force",
	 .letter = 'f',
	 .kind = OPT_FLAG,
	 .help = "Replace a file that is there already"},
	{.name = "from",
	 .kind = OPT_TEXT,
	 .arg = "ID|FILE.pub",
	 .help = "Take it only if this identity sent it"},
	{0},
};
static const struct opt *const tables[] = {options,	     transfer_options, client_options,
					   identity_options, common_options,   NULL};

struct get {
	struct cli *c;
	struct session_ui ui;
	struct url url;
	struct get_opts o;
	uint8_t from[ID_LEN];
	struct buf names; /* of a prefix: each with its NUL */
	size_t prefix;	  /* bytes of url.name that all names begin with */
	int root;	  /* directory that a prefix is put into */
};

/* ---- one object ---- */

static void tell(const struct get *g, const struct transfer_result *r, const char *path)
{
	char size[16], speed[24], time[16], wait[16], waited[48] = "", sender[2 * ID_LEN + 1];
	double rate = session_rate(&g->ui, r), queued = g->ui.info.queue_seconds;
	struct json j;

	hex_encode(r->sender_id, ID_LEN, sender);
	if (g->ui.json && strcmp(path, "-") != 0) {
		json_begin(&j, "got");
		json_str(&j, "name", g->url.name);
		json_str(&j, "path", path);
		json_u64(&j, "size", r->size);
		json_hex(&j, "file_id", r->file_id, sizeof(r->file_id));
		json_str(&j, "sender_id", sender);
		json_hex(&j, "server_id", r->server_id, ID_LEN);
		json_u64(&j, "parts", r->parts);
		json_u64(&j, "parts_fetched", r->parts_moved);
		json_u64(&j, "resumed_bytes", r->resumed_bytes);
		json_u64(&j, "reconnects", r->reconnects);
		json_f64(&j, "seconds", r->seconds);
		json_f64(&j, "queue_seconds", queued);
		json_str(&j, "trace_id", g->ui.info.trace_id);
		json_f64(&j, "mb_per_s", rate / 1e6);
		json_end(&j);
	} else if (!g->ui.quiet) {
		if (queued > 0)
			snprintf(waited, sizeof(waited), ", after %s in the queue",
				 fmt_duration(queued, wait));
		note("%s: %s in %s, %s%s, sent by %s", path, fmt_size(r->size, size),
		     fmt_duration(r->seconds - queued, time), fmt_rate(rate, speed), waited,
		     sender);
	}
}

/* To path, which is called shown, or to standard output. */
static int get_one(struct get *g, const char *path, const char *shown, struct err *e)
{
	const struct pqc_sink to = {.kind = path != NULL ? PQC_IO_PATH : PQC_IO_FD,
				    .path = path,
				    .replace = opt_flag(g->c->opts, "force"),
				    .fd = STDOUT_FILENO};
	struct transfer_result r = {0};
	int rc;

	g->o.to = &to;
	meter_begin(&g->ui.meter, g->url.name, g->ui.quiet);
	rc = client_get(&g->ui.o, &g->url, &g->o, &r, e);
	meter_end(&g->ui.meter);
	if (rc == 0)
		tell(g, &r, shown);
	transfer_result_free(&r);
	return advise_force(rc, e);
}

static bool is_directory(const char *path)
{
	size_t n = strlen(path);
	struct stat st;

	return (n > 0 && path[n - 1] == '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

static int get_single(struct get *g, struct err *e)
{
	const char *where = opt_text(g->c->opts, "out");
	const char *base = path_base(g->url.name);
	char path[PATH_MAX];
	int rc;

	if ((rc = name_check(g->url.name, strlen(g->url.name), e)) != 0)
		return rc;
	if (where != NULL && strcmp(where, "-") == 0) {
		if (isatty(STDOUT_FILENO) == 1)
			return err_set(e, PQC_EUSAGE,
				       "standard output is a terminal: give -o FILE, or send it "
				       "through a pipe");
		g->ui.data_out = true;
		return get_one(g, NULL, "-", e);
	}
	if (where == NULL)
		return get_one(g, base, base, e);
	if (!is_directory(where))
		return get_one(g, where, where, e);
	if ((rc = path_join(where, base, path, e)) != 0)
		return rc;
	return get_one(g, path, path, e);
}

/* ---- everything below a prefix ---- */

static int note_name(void *arg, const struct entry *en)
{
	struct get *g = arg;

	buf_put(&g->names, en->name, strlen(en->name) + 1);
	return buf_error(&g->names);
}

/*
 * The server chose the name: it must be one, and lie below the prefix. The
 * directories on its way are entered one by one from root, and no link is followed.
 */
static int get_below(struct get *g, const char *name, struct err *e)
{
	char path[PATH_MAX];
	const char *base, *relative = name + g->prefix;
	int dirfd, rc;

	if ((rc = name_check(name, strlen(name), e)) != 0)
		return rc;
	if (strncmp(name, g->url.name, g->prefix) != 0 || *relative == '\0')
		return err_set(e, PQC_EPROTO, "the server listed '%s', which was not asked for",
			       name);
	if ((rc = file_open_parent(g->root, relative, true, &dirfd, &base, e)) != 0)
		return rc;
	/* The kernel's name for "base in the directory dirfd". */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, base);
	strcpy(g->url.name, name);
	rc = get_one(g, path, relative, e);
	close(dirfd);
	return rc;
}

static int open_root(struct get *g, struct err *e)
{
	const char *where = opt_text(g->c->opts, "out");
	int rc;

	if (where == NULL)
		where = ".";
	if (strcmp(where, "-") == 0)
		return err_set(e, PQC_EUSAGE,
			       "several files do not go to standard output: give "
			       "-o DIR, or a URL that does not end with '/'");
	if ((rc = file_mkdirs(where, 0777, e)) != 0)
		return rc;
	g->root = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return g->root >= 0 ? 0 : err_sys(e, errno, "%s", where);
}

static int get_prefix(struct get *g, struct err *e)
{
	char prefix[URL_NAME_MAX + 1];
	const char *name, *end;
	int rc;

	strcpy(prefix, g->url.name);
	g->prefix = strlen(prefix);
	if ((rc = open_root(g, e)) != 0 ||
	    (rc = client_list(&g->ui.o, &g->url, note_name, g, e)) != 0)
		return rc;
	if (g->names.len == 0)
		return err_set(e, PQC_ENOTFOUND, "there is nothing below '%s' that you may get",
			       prefix);
	name = (const char *)g->names.p;
	for (end = name + g->names.len; rc == 0 && name < end; name += strlen(name) + 1) {
		strcpy(g->url.name, prefix);
		rc = session_carry_on(&g->ui, name, get_below(g, name, e), e);
	}
	return rc != 0 ? rc : session_verdict(&g->ui, e);
}

/* ---- the command ---- */

static int get_all(struct get *g, struct err *e)
{
	size_t n = strlen(g->url.name);
	int rc;

	if (n == 0 || g->url.name[n - 1] == '/')
		rc = get_prefix(g, e);
	else
		rc = get_single(g, e);
	return session_advise(rc, e);
}

static int run(struct cli *c, struct err *e)
{
	struct get *g = calloc(1, sizeof(*g));
	bool given;
	int rc;

	if (g == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	g->c = c;
	g->root = -1;
	buf_init(&g->names, NAMES_MAX);
	if ((rc = url_parse(c->argv[0], &g->url, e)) != 0 ||
	    (rc = id_option(c, "from", g->from, &given, e)) != 0)
		goto out;
	g->o.from = given ? g->from : NULL;
	if ((rc = session_begin(&g->ui, c, &g->url, true, e)) == 0) {
		g->ui.o.threads = threads_option(c, default_get_threads());
		rc = get_all(g, e);
	}
	session_end(&g->ui);
	if (rc == 0)
		rc = out_finish(e);
out:
	if (g->root >= 0)
		close(g->root);
	buf_free(&g->names);
	free(g);
	return rc;
}

const struct verb verb_get = {
	.name = "get",
	.operands = "URL",
	.summary = "get files from a server",
	.text = "The file appears under its name when all of it has arrived, opened, and agrees "
		"with what its sender signed; not before. To standard output it goes as it "
		"comes: act on it only when the exit code is 0.\n"
		"\n"
		"A URL that ends with '/' means everything below it, which is put into the "
		"directory --out, without following links. After an interruption run the same "
		"command again: what is here is not fetched twice.",
	.examples = "pqc get pqc://files.example.org/backups/backup.tar\n"
		    "pqc get --from alice.pub -o - pqc://files.example.org/photos.tar | tar x\n"
		    "pqc get -o restored pqc://files.example.org/backups/\n",
	.options = tables,
	.min = 1,
	.max = 1,
	.run = run,
};
