/* The values in force, as a configuration file. */
#include "config/opt_internal.h"

static void put_origin(const struct value *v, struct buf *out)
{
	char name[64];

	switch (v->origin) {
	case OPT_FROM_ARGV:
		buf_printf(out, "--%s", v->opt->name);
		break;
	case OPT_FROM_ENV:
		buf_put_str(out, opt_env_name(v->opt, name));
		break;
	case OPT_FROM_OLD_ENV:
		buf_put_str(out, v->opt->old_env);
		break;
	case OPT_FROM_FILE:
		buf_put_str(out, v->where);
		break;
	case OPT_DEFAULT:
		buf_put_str(out, "default");
		break;
	case OPT_UNSET:
		buf_put_str(out, "not set");
		break;
	}
}

static void put_quoted(const struct value *v, struct buf *out)
{
	buf_put_u8(out, '"');
	for (size_t i = 0; i < v->n; i++) {
		if (i > 0)
			buf_put_u8(out, ',');
		for (const char *p = v->item[i]; *p != '\0'; p++) {
			if (*p == '"' || *p == '\\')
				buf_put_u8(out, '\\');
			buf_put_u8(out, (uint8_t)*p);
		}
	}
	buf_put_u8(out, '"');
}

static void put_value(const struct value *v, struct buf *out)
{
	static const char *const flag[] = {"no", "yes"};

	if (v->opt->kind == OPT_FLAG)
		buf_put_str(out, flag[v->number != 0]);
	else if (v->opt->kind == OPT_TEXT || v->opt->kind == OPT_FILE || v->opt->kind == OPT_DIR)
		put_quoted(v, out);
	else
		buf_put_str(out, v->item[0]);
}

void opts_dump(const struct opts *o, struct buf *out)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct value *v = &o->v[i];

		if ((v->opt->flags & OPT_COMMAND_LINE) != 0)
			continue;
		buf_put_str(out, "# ");
		put_origin(v, out);
		if (v->n > 0 || v->opt->kind == OPT_FLAG)
			buf_printf(out, "\n%s = ", v->opt->name);
		else
			buf_printf(out, "\n# %s =", v->opt->name);
		if (v->n > 0 || v->opt->kind == OPT_FLAG)
			put_value(v, out);
		buf_put_u8(out, '\n');
	}
}
