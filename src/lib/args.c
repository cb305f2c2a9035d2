#include <stdio.h>
#include <string.h>

#include "container/header.h"
#include "lib/lib.h"

#define OPTIONS_MAX 4096 /* bytes; no struct will ever have as many */

int lib_done(int rc, const struct err *from, struct pqc_error *e)
{
	const char *message = from->msg[0] != '\0' ? from->msg : err_meaning(rc);

	if (e == NULL)
		return rc;
	e->code = rc;
	snprintf(e->message, sizeof(e->message), "%s", rc != 0 ? message : "");
	return rc;
}

int lib_need(const void *p, const char *what, struct err *e)
{
	return p != NULL ? 0 : err_set(e, PQC_EUSAGE, "%s is NULL", what);
}

int lib_take(const struct lib_options *o, const void *given, void *out, struct err *e)
{
	size_t size;

	memset(out, 0, o->now);
	if (given == NULL)
		return 0;
	memcpy(&size, given, sizeof(size));
	if (size < o->first || size > OPTIONS_MAX)
		return err_set(e, PQC_EUSAGE,
			       "%s: struct_size is %zu, expected at least %zu: begin with "
			       "PQC_INIT",
			       o->name, size, o->first);
	for (size_t i = o->now; i < size; i++)
		if (((const uint8_t *)given)[i] != 0)
			return err_set(e, PQC_EUSAGE,
				       "%s: a field is in use that is newer than the library "
				       "(version " PQC_VERSION ")",
				       o->name);
	memcpy(out, given, size < o->now ? size : o->now);
	return 0;
}

int lib_give(struct buf *b, struct pqc_buffer *out, struct err *e)
{
	if (buf_cstr(b) == NULL)
		return err_set(e, buf_error(b), "out of memory");
	*out = (struct pqc_buffer){.data = b->p, .size = b->len};
	*b = (struct buf){.max = b->max};
	return 0;
}

void pqc_buffer_free(struct pqc_buffer *b)
{
	struct buf owned;

	if (b == NULL)
		return;
	owned = (struct buf){.p = b->data, .len = b->size, .cap = b->size, .max = b->size};
	buf_free(&owned);
	*b = (struct pqc_buffer){.data = NULL};
}

int lib_suite(const char *name, const struct suite **out, struct err *e)
{
	*out = NULL;
	if (name == NULL || suite_by_name(name, out, e) == 0)
		return 0;
	return e->code = PQC_EUSAGE;
}

int lib_check_part_size(uint32_t size, struct err *e)
{
	if (size >= PQX_PART_MIN && size <= PQX_PART_MAX && (size & (size - 1)) == 0)
		return 0;
	return err_set(e, PQC_EUSAGE,
		       "part_size is %u, expected a power of two from %u to %u bytes", size,
		       PQX_PART_MIN, PQX_PART_MAX);
}
