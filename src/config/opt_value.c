/* The values of options: their types, one by one. */
#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "config/opt_internal.h"

static int parse_flag(const struct opt *opt, const char *text, uint64_t *v, struct err *e)
{
	static const struct {
		const char *word;
		bool on;
	} words[] = {{"yes", true}, {"true", true},   {"1", true},  {"on", true},
		     {"no", false}, {"false", false}, {"0", false}, {"off", false}};

	(void)opt;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, text) == 0) {
			*v = words[i].on;
			return 0;
		}
	return err_set(e, PQC_EUSAGE, "expected yes or no, found '%.80s'", text);
}

static int parse_text(const struct opt *opt, const char *text, uint64_t *v, struct err *e)
{
	(void)v;
	if (text[0] == '\0')
		return err_set(e, PQC_EUSAGE, "expected a value (%s), found nothing", opt->arg);
	if (!utf8_valid(text, strlen(text)) && opt->kind == OPT_TEXT)
		return err_set(e, PQC_EUSAGE, "expected UTF-8, found '%.80s'", text);
	return 0;
}

static int out_of_bounds(const struct opt *opt, const char *what, const char *text, struct err *e)
{
	struct buf b = BUF_INIT(128);

	opt_print_number(opt, opt->min, &b);
	buf_put_str(&b, " to ");
	opt_print_number(opt, opt->max, &b);
	err_set(e, PQC_EUSAGE, "expected %s from %s, found '%.80s'", what,
		buf_cstr(&b) != NULL ? buf_cstr(&b) : "", text);
	buf_free(&b);
	return PQC_EUSAGE;
}

static int parse_number(const struct opt *opt, const char *text, uint64_t *v, struct err *e)
{
	if (parse_u64(text, opt->min, opt->max, v) != 0)
		return out_of_bounds(opt, "a number", text, e);
	return 0;
}

static int parse_bytes(const struct opt *opt, const char *text, uint64_t *v, struct err *e)
{
	if (parse_size(text, opt->max, v) != 0 || *v < opt->min)
		return out_of_bounds(opt, "a size such as 64K or 1M,", text, e);
	return 0;
}

static int parse_time(const struct opt *opt, const char *text, uint64_t *v, struct err *e)
{
	if (parse_duration(text, v) != 0 || *v < opt->min || *v > opt->max)
		return out_of_bounds(opt, "a time such as 30s, 5m or 2h,", text, e);
	return 0;
}

static int parse_choice(const struct opt *opt, const char *text, uint64_t *v, struct err *e)
{
	size_t n;

	(void)v;
	for (const char *p = opt->choices; *p != '\0'; p += n + (p[n] == '|')) {
		n = strcspn(p, "|");
		if (strlen(text) == n && memcmp(text, p, n) == 0)
			return 0;
	}
	return err_set(e, PQC_EUSAGE, "expected one of %s, found '%.80s'", opt->choices, text);
}

int opt_parse(const struct opt *opt, const char *text, uint64_t *number, struct err *e)
{
	static int (*const parsers[])(const struct opt *, const char *, uint64_t *,
				      struct err *) = {
		[OPT_FLAG] = parse_flag, [OPT_TEXT] = parse_text,     [OPT_FILE] = parse_text,
		[OPT_DIR] = parse_text,	 [OPT_NUMBER] = parse_number, [OPT_SIZE] = parse_bytes,
		[OPT_TIME] = parse_time, [OPT_CHOICE] = parse_choice,
	};
	int rc;

	*number = 0;
	if ((rc = parsers[opt->kind](opt, text, number, e)) != 0)
		return rc;
	return opt->check != NULL ? opt->check(text, e) : 0;
}

struct unit {
	const char *name;
	uint64_t n;
};

/* In the largest unit that leaves no remainder. */
static void print_units(const struct unit *u, uint64_t v, struct buf *out)
{
	while (u->n > 1 && (v == 0 || v % u->n != 0))
		u++;
	buf_printf(out, "%llu%s", (unsigned long long)(v / u->n), u->name);
}

void opt_print_number(const struct opt *opt, uint64_t v, struct buf *out)
{
	static const struct unit sizes[] = {
		{"T", (uint64_t)1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};
	static const struct unit times[] = {
		{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

	if (opt->kind == OPT_SIZE)
		print_units(sizes, v, out);
	else if (opt->kind == OPT_TIME && v == 0)
		buf_put_str(out, "0s");
	else if (opt->kind == OPT_TIME)
		print_units(times, v, out);
	else
		buf_printf(out, "%llu", (unsigned long long)v);
}
