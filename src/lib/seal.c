/* Sealing and opening. */
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/sigpipe.h"
#include "client/defaults.h"
#include "lib/control.h"
#include "lib/whom.h"

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
	const struct pqc_progress p = {
		.done = done, .total = total, .estimate_ms = PQC_SIZE_UNKNOWN};

	return control_progress(arg, &p);
}

static unsigned threads_of(unsigned asked)
{
	return asked != 0 ? asked : default_seal_threads();
}

/* ---- sealing ---- */

static void tell_sealed(const struct seal_result *r, struct pqc_seal_result *out)
{
	memcpy(out->file_id, r->header.file_id, sizeof(out->file_id));
	out->size = r->plain_size;
	out->sealed_size = r->sealed_size;
	out->parts = r->n;
}

static int take_suite(const struct pqc_seal_options *o, struct seal_opts *s, struct err *e)
{
	const struct suite *signer;
	int rc;

	s->sign = o->sign != NULL ? o->sign->id : NULL;
	if ((rc = lib_suite(o->suite, &s->suite, e)) != 0 || s->sign == NULL || s->suite == NULL)
		return rc;
	signer = identity_public(s->sign)->suite;
	if (signer != s->suite)
		return err_set(e, PQC_EUSAGE, "suite is %s, and sign a key of %s", s->suite->name,
			       signer->name);
	return 0;
}

static int take_seal(const struct pqc_seal_options *o, struct whom *w, struct seal_opts *s,
		     struct err *e)
{
	int rc;

	if ((rc = whom_seal(w, o, &s->whom, e)) != 0 ||
	    (rc = whom_check_threads(o->threads, e)) != 0 || (rc = take_suite(o, s, e)) != 0)
		return rc;
	s->threads = threads_of(o->threads);
	s->part_size = o->part_size != 0 ? o->part_size : default_size(DEFAULT_SEAL_PART);
	s->time = clock_unix();
	s->sha256 = o->sha256;
	return lib_check_part_size(s->part_size, e);
}

int pqc_seal(const struct pqc_source *from, const struct pqc_sink *to,
	     const struct pqc_seal_options *o, const struct pqc_control *c,
	     struct pqc_seal_result *r, struct pqc_error *e)
{
	struct whom w = {.list = NULL};
	struct seal_result done = {.n = 0};
	struct pqc_seal_options own;
	struct control k;
	struct seal_opts s = {.from = from, .to = to, .progress = on_progress, .arg = &k};
	struct sigpipe held;
	struct err err = {0};
	int rc;

	if (r != NULL)
		memset(r, 0, sizeof(*r));
	if ((rc = whom_take_seal(o, &own, &err)) != 0 || (rc = control_begin(&k, c, &err)) != 0 ||
	    (rc = take_seal(&own, &w, &s, &err)) != 0)
		goto out;
	s.cancel = control_flag(&k);
	sigpipe_hold(&held);
	rc = seal_stream(&s, &done, &err);
	sigpipe_release(&held);
	if (r != NULL && (rc == 0 || rc == PQC_ETOOBIG))
		tell_sealed(&done, r);
	if (rc == 0)
		control_end(&k);
out:
	whom_free(&w);
	return lib_done(rc, &err, e);
}

/* ---- opening ---- */

static void tell_opened(const struct open_result *r, struct pqc_open_result *out)
{
	memcpy(out->file_id, r->header.file_id, sizeof(out->file_id));
	memcpy(out->sender_id, r->header.sender_id, sizeof(out->sender_id));
	out->is_signed = pqx_header_is_signed(&r->header);
	out->size = r->plain_size;
	out->parts = r->n;
	out->time = r->time;
	if (r->header.suite != NULL)
		strncpy(out->suite, r->header.suite->name, sizeof(out->suite) - 1);
}

/* What an interrupted rewrap left is finished before a file is opened by its name. */
static int repair(const struct pqc_source *from, struct err *e)
{
	int rc;

	if (from == NULL || from->kind != PQC_IO_PATH || from->path == NULL)
		return 0;
	rc = rewrap_repair(AT_FDCWD, from->path, e);
	return rc < 0 ? rc : 0;
}

int pqc_open(const struct pqc_source *from, const struct pqc_sink *to,
	     const struct pqc_open_options *o, const struct pqc_control *c,
	     struct pqc_open_result *r, struct pqc_error *e)
{
	struct whom w = {.list = NULL};
	struct open_result done = {.n = 0};
	struct pqc_open_options own;
	struct control k;
	struct open_opts s = {.from = from, .to = to, .progress = on_progress, .arg = &k};
	struct sigpipe held;
	struct err err = {0};
	int rc;

	if (r != NULL)
		memset(r, 0, sizeof(*r));
	if ((rc = whom_take_open(o, &own, &err)) != 0 || (rc = control_begin(&k, c, &err)) != 0 ||
	    (rc = whom_open(&w, &own, &s.keys, &err)) != 0 ||
	    (rc = whom_check_threads(own.threads, &err)) != 0 || (rc = repair(from, &err)) != 0)
		goto out;
	s.threads = threads_of(own.threads);
	s.expected_sender = own.expected_sender;
	s.sha256 = own.sha256;
	s.cancel = control_flag(&k);
	sigpipe_hold(&held);
	rc = open_stream(&s, &done, &err);
	sigpipe_release(&held);
	if (r != NULL && (rc == 0 || rc == PQC_ETOOBIG))
		tell_opened(&done, r);
	if (rc == 0)
		control_end(&k);
out:
	whom_free(&w);
	return lib_done(rc, &err, e);
}
