/* Where values come from: command line, settings, environment, file, defaults. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "config/opt_internal.h"

#define ITEMS_MAX 1024 /* values of one list */

static struct value *find_letter(const struct opts *o, char letter)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].opt->letter == letter)
			return &o->v[i];
	return NULL;
}

/* ---- setting ---- */

static int add_item(struct value *v, const char *text, size_t n, struct err *e)
{
	char **more;

	if (v->n == ITEMS_MAX)
		return err_set(e, PQC_EUSAGE, "given more than %d times", ITEMS_MAX);
	more = reallocarray(v->item, v->n + 1, sizeof(*more));
	if (more == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	v->item = more;
	if ((v->item[v->n] = strndup(text, n)) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	v->n++;
	return 0;
}

/* One value from one place; nothing changes when a better place has spoken. */
static int set(struct value *v, enum opt_origin origin, const char *text, size_t n, struct err *e)
{
	char *copy = strndup(text, n);
	uint64_t number;
	int rc;

	if (copy == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	rc = opt_parse(v->opt, copy, &number, e);
	if (rc == 0 && v->origin <= origin) {
		if (v->origin < origin || (v->opt->flags & OPT_LIST) == 0)
			value_clear(v);
		v->origin = origin;
		v->number = number;
		rc = add_item(v, copy, n, e);
	}
	free(copy);
	return rc;
}

/* Of a list, each of the values between commas; blanks beside a comma do not count. */
static int set_all(struct value *v, enum opt_origin origin, const char *text, struct err *e)
{
	size_t n, end;
	int rc;

	if ((v->opt->flags & OPT_LIST) == 0)
		return set(v, origin, text, strlen(text), e);
	for (;; text += n + 1) {
		text += strspn(text, " ");
		n = end = strcspn(text, ",");
		while (end > 0 && text[end - 1] == ' ')
			end--;
		if ((rc = set(v, origin, text, end, e)) != 0 || text[n] == '\0')
			return rc;
	}
}

/* Put the place before the message; outside the command line a bad value is a bad configuration. */
static int name_place(struct err *e, int rc, const char *place, bool usage)
{
	err_prefix(e, "%s", place);
	if (!usage && rc == PQC_EUSAGE) {
		rc = PQC_ECONFIG;
		if (e != NULL)
			e->code = rc;
	}
	return rc;
}

/* ---- command line ---- */

struct args {
	int argc, at, operands;
	char **argv;
};

/* shown: how the option was written. inline_value: behind '=' or the letter; NULL: none. */
static int set_arg(struct value *v, const char *shown, const char *inline_value, struct args *a,
		   struct err *e)
{
	const char *text = inline_value;
	int rc;

	if (v->opt->kind == OPT_FLAG) {
		if (text != NULL)
			return err_set(e, PQC_EUSAGE, "%s takes no value, found '%.80s'", shown,
				       text);
		text = "yes";
	} else if (text == NULL) {
		if (a->at == a->argc)
			return err_set(e, PQC_EUSAGE, "%s: expected a value (%s), found the end",
				       shown, v->opt->arg);
		text = a->argv[a->at++];
	}
	if ((rc = set(v, OPT_FROM_ARGV, text, strlen(text), e)) != 0)
		return name_place(e, rc, shown, true);
	return 0;
}

static int long_option(struct opts *o, const char *word, struct args *a, struct err *e)
{
	const char *equals = strchr(word, '=');
	size_t n = equals != NULL ? (size_t)(equals - word) : strlen(word);
	struct value *v = value_find(o, word + 2, n - 2);
	char shown[80];

	snprintf(shown, sizeof(shown), "%.*s", n < 79 ? (int)n : 79, word);
	if (v == NULL)
		return err_set(e, PQC_EUSAGE, "there is no option %s", shown);
	return set_arg(v, shown, equals != NULL ? equals + 1 : NULL, a, e);
}

/* "-o FILE", "-oFILE", flags together: "-fq". */
static int short_options(struct opts *o, const char *word, struct args *a, struct err *e)
{
	for (const char *p = word + 1; *p != '\0'; p++) {
		char shown[3] = {'-', *p, '\0'};
		struct value *v = find_letter(o, *p);
		int rc;

		if (v == NULL)
			return err_set(e, PQC_EUSAGE, "there is no option %s", shown);
		if (v->opt->kind != OPT_FLAG)
			return set_arg(v, shown, p[1] != '\0' ? p + 1 : NULL, a, e);
		if ((rc = set_arg(v, shown, NULL, a, e)) != 0)
			return rc;
	}
	return 0;
}

int opts_argv(struct opts *o, int argc, char **argv, int *operands, struct err *e)
{
	struct args a = {.argc = argc, .argv = argv};
	bool ended = false;
	int rc = 0;

	while (rc == 0 && a.at < argc) {
		char *word = argv[a.at++];

		if (ended || word[0] != '-' || word[1] == '\0')
			argv[a.operands++] = word;
		else if (strcmp(word, "--") == 0)
			ended = true;
		else if (word[1] == '-')
			rc = long_option(o, word, &a, e);
		else
			rc = short_options(o, word, &a, e);
	}
	*operands = a.operands;
	return rc;
}

int opts_set(struct opts *o, const char *setting, struct err *e)
{
	const char *equals = strchr(setting, '=');
	size_t n = equals != NULL ? (size_t)(equals - setting) : strlen(setting);
	struct value *v = value_find(o, setting, n);
	int rc;

	if (v == NULL)
		return err_set(e, PQC_EUSAGE, "there is no option '%.*s'", n < 79 ? (int)n : 79,
			       setting);
	if (equals == NULL)
		return err_set(e, PQC_EUSAGE, "%s: expected %s=VALUE, found the name alone",
			       setting, setting);
	if ((rc = set(v, OPT_FROM_ARGV, equals + 1, strlen(equals + 1), e)) != 0)
		return name_place(e, rc, v->opt->name, true);
	return 0;
}

/* ---- environment, file, defaults ---- */

/* An empty variable is one that is not set. */
static const char *variable(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

int opts_env(struct opts *o, struct err *e)
{
	char name[64];
	int rc;

	for (size_t i = 0; i < o->n; i++) {
		struct value *v = &o->v[i];
		const char *text = v->opt->old_env != NULL ? variable(v->opt->old_env) : NULL;

		if (text != NULL && (rc = set_all(v, OPT_FROM_OLD_ENV, text, e)) != 0)
			return name_place(e, rc, v->opt->old_env, false);
		text = *opt_env_name(v->opt, name) != '\0' ? variable(name) : NULL;
		if (text != NULL && (rc = set_all(v, OPT_FROM_ENV, text, e)) != 0)
			return name_place(e, rc, name, false);
	}
	return 0;
}

static int from_file(void *arg, const char *key, const char *value, const char *where,
		     struct err *e)
{
	struct value *v = value_find(arg, key, strlen(key));
	enum opt_origin before;
	char place[256];
	int rc;

	if (v == NULL || (v->opt->flags & OPT_COMMAND_LINE) != 0)
		return err_set(e, PQC_ECONFIG, "%s: there is no key '%.80s'", where, key);
	before = v->origin;
	if ((rc = set_all(v, OPT_FROM_FILE, value, e)) != 0) {
		snprintf(place, sizeof(place), "%.160s: %s", where, v->opt->name);
		return name_place(e, rc, place, false);
	}
	if (before <= OPT_FROM_FILE && (v->where = strdup(where)) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	return 0;
}

int opts_file(struct opts *o, const char *path, struct err *e)
{
	return conf_read(path, from_file, o, e);
}

int opts_defaults(struct opts *o, struct err *e)
{
	int rc;

	for (size_t i = 0; i < o->n; i++) {
		struct value *v = &o->v[i];

		if (v->opt->def != NULL && (rc = set_all(v, OPT_DEFAULT, v->opt->def, e)) != 0)
			return name_place(e, rc, v->opt->name, false);
	}
	return 0;
}

static int copy_argv(struct opts *to, const struct opts *from, struct err *e)
{
	int rc;

	for (size_t i = 0; i < from->n; i++) {
		const struct value *v = &from->v[i];

		for (size_t j = 0; v->origin == OPT_FROM_ARGV && j < v->n; j++)
			if ((rc = set(&to->v[i], v->origin, v->item[j], strlen(v->item[j]), e)) !=
			    0)
				return rc;
	}
	return 0;
}

int opts_reread(const struct opts *o, const char *path, struct opts **out, struct err *e)
{
	struct opts *fresh = opts_new(o->tables);
	int rc;

	if (fresh == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((rc = copy_argv(fresh, o, e)) == 0 && (rc = opts_env(fresh, e)) == 0 &&
	    (path == NULL || (rc = opts_file(fresh, path, e)) == 0) &&
	    (rc = opts_defaults(fresh, e)) == 0) {
		*out = fresh;
		fresh = NULL;
	}
	opts_free(fresh);
	return rc;
}
