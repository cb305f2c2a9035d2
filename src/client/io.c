#include "client/io.h"

#include <inttypes.h>
#include <limits.h>

static int check_memory(const void *data, uint64_t size, const char *what, struct err *e)
{
	if (size > PTRDIFF_MAX)
		return err_set(e, PQC_EUSAGE, "a %s of %" PRIu64 " bytes of memory", what, size);
	if (data == NULL && size > 0)
		return err_set(e, PQC_EUSAGE, "a %s without its memory", what);
	return 0;
}

int from_check(const struct pqc_source *from, struct err *e)
{
	if (from == NULL)
		return err_set(e, PQC_EUSAGE, "no source was given");
	switch (from->kind) {
	case PQC_IO_PATH:
		return from->path != NULL ? 0 : err_set(e, PQC_EUSAGE, "a source without its path");
	case PQC_IO_FD:
		return from->fd >= 0 ? 0
				     : err_set(e, PQC_EUSAGE, "a source without its descriptor");
	case PQC_IO_MEMORY:
		return check_memory(from->data, from->size, "source", e);
	case PQC_IO_CALLBACK:
		return from->read != NULL ? 0
					  : err_set(e, PQC_EUSAGE, "a source without its function");
	}
	return err_set(e, PQC_EUSAGE, "%d is no kind of source", (int)from->kind);
}

int to_check(const struct pqc_sink *to, struct err *e)
{
	if (to == NULL)
		return err_set(e, PQC_EUSAGE, "no sink was given");
	switch (to->kind) {
	case PQC_IO_PATH:
		return to->path != NULL ? 0 : err_set(e, PQC_EUSAGE, "a sink without its path");
	case PQC_IO_FD:
		return to->fd >= 0 ? 0 : err_set(e, PQC_EUSAGE, "a sink without its descriptor");
	case PQC_IO_MEMORY:
		return check_memory(to->data, to->size, "sink", e);
	case PQC_IO_CALLBACK:
		return to->write != NULL ? 0
					 : err_set(e, PQC_EUSAGE, "a sink without its function");
	}
	return err_set(e, PQC_EUSAGE, "%d is no kind of sink", (int)to->kind);
}

int io_apart(const struct pqc_source *from, const struct pqc_sink *to, struct err *e)
{
	const uintptr_t a = (uintptr_t)from->data, b = (uintptr_t)to->data;

	if (from->kind != PQC_IO_MEMORY || to->kind != PQC_IO_MEMORY)
		return 0;
	if (from->size == 0 || to->size == 0 || a + from->size <= b || b + to->size <= a)
		return 0;
	return err_set(e, PQC_EUSAGE, "source and sink are the same memory");
}

static int failed(int64_t code, const char *what, struct err *e)
{
	const int r = code < INT_MIN || code > 0 ? PQC_EFAIL : (int)code;

	return err_set(e, r, "the %s's function failed: %s", what, err_meaning(r));
}

static int other_size(const struct pqc_source *from, uint64_t taken, const char *than,
		      struct err *e)
{
	return err_set(e, PQC_ECHANGED,
		       "the source gave %" PRIu64 " bytes%s, and not the %" PRIu64
		       " that it was declared to have",
		       taken, than, from->size);
}

int callback_read(const struct pqc_source *from, const struct slow_end *w, uint64_t *taken, void *p,
		  size_t n, size_t *got, struct err *e)
{
	uint8_t *at = p;
	int64_t k = 1;

	for (*got = 0; *got < n && k != 0; *got += (size_t)k) {
		if (w != NULL && w->over(w->arg))
			return err_set(e, PQC_EINTERRUPTED, "interrupted");
		k = from->read(from->arg, at + *got, n - *got);
		if (k < 0)
			return failed(k, "source", e);
		if ((uint64_t)k > n - *got)
			return err_set(e, PQC_EUSAGE,
				       "the source's function gave %" PRId64
				       " bytes, and was asked for at most %zu",
				       k, n - *got);
		*taken += (uint64_t)k;
		if (*taken > from->size)
			return other_size(from, *taken, " or more", e);
	}
	if (k == 0 && from->size != PQC_SIZE_UNKNOWN && *taken != from->size)
		return other_size(from, *taken, "", e);
	return 0;
}

int callback_write(const struct pqc_sink *to, const void *p, size_t n, struct err *e)
{
	int r = n > 0 ? to->write(to->arg, p, n) : 0;

	return r == 0 ? 0 : failed(r, "sink", e);
}
