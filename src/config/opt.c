#include "config/opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/opt_internal.h"

/* ---- tables ---- */

const struct opt *opt_find(opt_tables tables, const char *name, size_t n)
{
	for (; *tables != NULL; tables++)
		for (const struct opt *o = *tables; o->name != NULL; o++)
			if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
				return o;
	return NULL;
}

const char *opt_env_name(const struct opt *opt, char out[64])
{
	size_t i = 4;

	out[0] = '\0';
	if ((opt->flags & OPT_NO_ENV) != 0)
		return out;
	if (opt->env != NULL) {
		snprintf(out, 64, "%s", opt->env);
		return out;
	}
	memcpy(out, "PQC_", 4);
	for (const char *p = opt->name; *p != '\0' && i < 63; p++)
		out[i++] = *p == '-' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
	out[i] = '\0';
	return out;
}

struct value *value_find(const struct opts *o, const char *name, size_t n)
{
	for (size_t i = 0; i < o->n; i++)
		if (strlen(o->v[i].opt->name) == n && memcmp(o->v[i].opt->name, name, n) == 0)
			return &o->v[i];
	return NULL;
}

struct opts *opts_new(opt_tables tables)
{
	struct opts *o = calloc(1, sizeof(*o));
	size_t n = 0;

	if (o == NULL)
		return NULL;
	for (opt_tables t = tables; *t != NULL; t++)
		for (const struct opt *p = *t; p->name != NULL; p++)
			n++;
	o->tables = tables;
	if ((o->v = calloc(n + 1, sizeof(*o->v))) == NULL) {
		free(o);
		return NULL;
	}
	for (opt_tables t = tables; *t != NULL; t++)
		for (const struct opt *p = *t; p->name != NULL; p++)
			o->v[o->n++].opt = p;
	return o;
}

void value_clear(struct value *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->item[i]);
	free(v->item);
	free(v->where);
	*v = (struct value){.opt = v->opt};
}

void opts_free(struct opts *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < o->n; i++)
		value_clear(&o->v[i]);
	free(o->v);
	free(o);
}

/* ---- values ---- */

static const struct value *get(const struct opts *o, const char *name)
{
	const struct value *v = value_find(o, name, strlen(name));

	if (v == NULL)
		abort();
	return v;
}

bool opt_flag(const struct opts *o, const char *name)
{
	return get(o, name)->number != 0;
}

const char *opt_text(const struct opts *o, const char *name)
{
	const struct value *v = get(o, name);

	return v->n > 0 ? v->item[0] : NULL;
}

uint64_t opt_number(const struct opts *o, const char *name)
{
	return get(o, name)->number;
}

size_t opt_count(const struct opts *o, const char *name)
{
	return get(o, name)->n;
}

const char *opt_item(const struct opts *o, const char *name, size_t i)
{
	const struct value *v = get(o, name);

	return i < v->n ? v->item[i] : NULL;
}

enum opt_origin opt_origin(const struct opts *o, const char *name)
{
	return get(o, name)->origin;
}
