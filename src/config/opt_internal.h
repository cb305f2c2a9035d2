/* What the files of opt.h share. */
#ifndef PQC_CONFIG_OPT_INTERNAL_H
#define PQC_CONFIG_OPT_INTERNAL_H

#include "config/opt.h"

struct value {
	const struct opt *opt;
	enum opt_origin origin;
	char *where; /* of a file: "path:line" */
	uint64_t number;
	char **item; /* owned; one, or several of a list */
	size_t n;
};

struct opts {
	opt_tables tables;
	struct value *v;
	size_t n;
};

struct value *value_find(const struct opts *o, const char *name, size_t n);
/* Back to no value. */
void value_clear(struct value *v);

/*
 * Is text a value for opt? *number gets a flag's, number's, size's or time's value.
 * PQC_EUSAGE, or what opt->check says, with "expected ..., found ..." in e.
 */
int opt_parse(const struct opt *opt, const char *text, uint64_t *number, struct err *e) MUST_CHECK;
/* As a person would write it. */
void opt_print_number(const struct opt *opt, uint64_t v, struct buf *out);

#endif
