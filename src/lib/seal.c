/* Sealing and opening. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/sealfile.h"
#include "lib/control.h"

static int on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct pqc_progress p = {.done = done, .total = total, .estimate_ms = PQC_SIZE_UNKNOWN};

	return control_progress(arg, &p);
}

/* ---- sealing ---- */

static const struct lib_options seal_options = {"struct pqc_seal_options",
						LIB_UP_TO(struct pqc_seal_options, sha256),
						sizeof(struct pqc_seal_options)};

/* Those of o->recipients, as the engine has them; *list is the caller's to free. */
static int take_recipients(const struct pqc_seal_options *o, struct seal_to *to,
			   const struct public_identity ***list, struct err *e)
{
	if (o->recipient_count == 0)
		return 0;
	if (o->recipients == NULL)
		return err_set(e, PQC_EUSAGE, "recipients is NULL and recipient_count is %zu",
			       o->recipient_count);
	if ((*list = calloc(o->recipient_count, sizeof(**list))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	for (size_t i = 0; i < o->recipient_count; i++) {
		if (o->recipients[i] == NULL)
			return err_set(e, PQC_EUSAGE, "recipients[%zu] is NULL", i);
		(*list)[i] = &o->recipients[i]->is;
	}
	to->recipients = *list;
	to->nrecipients = o->recipient_count;
	return 0;
}

static void take_kek(const struct pqc_kek *from, struct kek *to)
{
	memcpy(to->id, from->id, sizeof(to->id));
	to->version = from->version;
	memcpy(to->key, from->key, sizeof(to->key));
}

static int check_seal(const struct pqc_seal_options *o, struct err *e)
{
	const bool others = o->recipient_count > 0 || o->raw_key != NULL || o->kek != NULL;

	if (!others && o->passphrase == NULL)
		return err_set(e, PQC_EUSAGE,
			       "for whom? set recipients, passphrase, raw_key or kek");
	if (o->passphrase != NULL && others)
		return err_set(e, PQC_EUSAGE,
			       "passphrase stands alone: who has it could pretend to be any of "
			       "the others");
	if (o->passphrase != NULL && o->passphrase[0] == '\0')
		return err_set(e, PQC_EUSAGE, "passphrase is empty, and protects nothing");
	if (o->associated_data_size > 0 && o->associated_data == NULL)
		return err_set(e, PQC_EUSAGE,
			       "associated_data is NULL and associated_data_size is %zu",
			       o->associated_data_size);
	if (o->associated_data_size > 0 && o->raw_key == NULL)
		return err_set(e, PQC_EUSAGE, "associated_data goes with raw_key only");
	if (o->threads > SEAL_THREADS_MAX)
		return err_set(e, PQC_EUSAGE, "threads is %u, expected at most %d", o->threads,
			       SEAL_THREADS_MAX);
	return 0;
}

static int check_part_size(uint32_t size, struct err *e)
{
	if (size == 0 || (size >= PQX_PART_MIN && size <= PQX_PART_MAX && (size & (size - 1)) == 0))
		return 0;
	return err_set(e, PQC_EUSAGE,
		       "part_size is %u, expected a power of two from %u to %u bytes", size,
		       PQX_PART_MIN, PQX_PART_MAX);
}

static int open_source(const struct pqc_source *from, int *fd, struct err *e)
{
	if (from->kind == PQC_IO_FD)
		*fd = from->fd;
	else if (from->kind != PQC_IO_PATH)
		return err_set(e, PQC_EUSAGE, "from: kind %d is none", (int)from->kind);
	else if ((*fd = open(from->path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0)
		return err_sys(e, errno, "%s", from->path);
	return 0;
}

static int open_sink(const struct pqc_sink *to, int *fd, struct err *e)
{
	if (to->kind == PQC_IO_FD)
		*fd = to->fd;
	else if (to->kind != PQC_IO_PATH)
		return err_set(e, PQC_EUSAGE, "to: kind %d is none", (int)to->kind);
	else if ((*fd = open(to->path,
			     O_RDWR | O_CREAT | O_CLOEXEC | (to->replace ? O_TRUNC : O_EXCL),
			     0666)) < 0)
		return err_sys(e, errno, "%s", to->path);
	return 0;
}

static void close_io(const struct pqc_source *from, int in, const struct pqc_sink *to, int out,
		     int rc)
{
	if (from->kind == PQC_IO_PATH && in >= 0)
		close(in);
	if (to->kind == PQC_IO_PATH && out >= 0) {
		close(out);
		if (rc != 0)
			(void)unlink(to->path);
	}
}

static unsigned threads_of(unsigned asked)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN) + 1;

	return asked != 0 ? asked : n < 1 ? 1 : n > 4 ? 4 : (unsigned)n;
}

static void tell_sealed(const struct seal_result *r, struct pqc_seal_result *out)
{
	memcpy(out->file_id, r->header.file_id, sizeof(out->file_id));
	out->size = r->plain_size;
	out->sealed_size = r->sealed_size;
	out->parts = r->n;
}

static int seal(const struct pqc_source *from, const struct pqc_sink *to,
		const struct pqc_seal_options *o, struct control *k, struct pqc_seal_result *r,
		struct err *e)
{
	const struct public_identity **list = NULL;
	struct seal_opts s = {.in = -1,
			      .out = -1,
			      .part_size = o->part_size != 0 ? o->part_size : 4u << 20,
			      .threads = threads_of(o->threads),
			      .time = clock_unix(),
			      .progress = on_progress,
			      .arg = k};
	struct seal_result done;
	struct kek kek;
	int rc;

	if (o->kek != NULL) {
		take_kek(o->kek, &kek);
		s.to.kek = &kek;
	}
	s.to.passphrase = o->passphrase;
	s.to.raw_key = o->raw_key;
	s.sign = o->sign != NULL ? o->sign->id : NULL;
	if ((rc = check_seal(o, e)) != 0 || (rc = check_part_size(o->part_size, e)) != 0 ||
	    (rc = lib_suite(o->suite, &s.suite, e)) != 0 ||
	    (rc = take_recipients(o, &s.to, &list, e)) != 0 ||
	    (rc = open_source(from, &s.in, e)) != 0 || (rc = open_sink(to, &s.out, e)) != 0)
		goto out;
	if ((rc = seal_stream(&s, &done, e)) == 0 && r != NULL)
		tell_sealed(&done, r);
out:
	close_io(from, s.in, to, s.out, rc);
	free(list);
	return rc;
}

int pqc_seal(const struct pqc_source *from, const struct pqc_sink *to,
	     const struct pqc_seal_options *o, const struct pqc_control *c,
	     struct pqc_seal_result *r, struct pqc_error *e)
{
	struct pqc_seal_options own;
	struct control k;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(from, "from", &err)) == 0 && (rc = lib_need(to, "to", &err)) == 0 &&
	    (rc = lib_need(o, "o", &err)) == 0 &&
	    (rc = lib_take(&seal_options, o, &own, &err)) == 0 &&
	    (rc = control_begin(&k, c, &err)) == 0 && (rc = seal(from, to, &own, &k, r, &err)) == 0)
		control_end(&k);
	return lib_done(rc, &err, e);
}

/* ---- opening ---- */

static const struct lib_options open_options = {"struct pqc_open_options",
						LIB_UP_TO(struct pqc_open_options, sha256),
						sizeof(struct pqc_open_options)};

static void tell_opened(const struct open_result *r, struct pqc_open_result *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->file_id, r->header.file_id, sizeof(out->file_id));
	memcpy(out->sender_id, r->header.sender_id, sizeof(out->sender_id));
	out->is_signed = pqx_header_is_signed(&r->header);
	out->size = r->plain_size;
	out->parts = r->n;
	out->time = r->time;
	strncpy(out->suite, r->header.suite->name, sizeof(out->suite) - 1);
}

static int open_it(const struct pqc_source *from, const struct pqc_sink *to,
		   const struct pqc_open_options *o, struct control *k, struct pqc_open_result *r,
		   struct err *e)
{
	struct open_opts s = {.in = -1,
			      .out = -1,
			      .threads = threads_of(o->threads),
			      .expected_sender = o->expected_sender,
			      .progress = on_progress,
			      .arg = k};
	struct open_result done;
	struct kek kek;
	int rc;

	if (o->identity == NULL && o->passphrase == NULL && o->raw_key == NULL && o->kek == NULL)
		return err_set(e, PQC_EUSAGE,
			       "with what? set identity, passphrase, raw_key or kek");
	s.keys.identity = o->identity != NULL ? o->identity->id : NULL;
	s.keys.passphrase = o->passphrase;
	s.keys.raw_key = o->raw_key;
	if (o->kek != NULL) {
		take_kek(o->kek, &kek);
		s.keys.kek = &kek;
	}
	if ((rc = open_source(from, &s.in, e)) == 0 && (rc = open_sink(to, &s.out, e)) == 0 &&
	    (rc = open_stream(&s, &done, e)) == 0 && r != NULL)
		tell_opened(&done, r);
	close_io(from, s.in, to, s.out, rc);
	return rc;
}

int pqc_open(const struct pqc_source *from, const struct pqc_sink *to,
	     const struct pqc_open_options *o, const struct pqc_control *c,
	     struct pqc_open_result *r, struct pqc_error *e)
{
	struct pqc_open_options own;
	struct control k;
	struct err err = {0};
	int rc;

	if ((rc = lib_need(from, "from", &err)) == 0 && (rc = lib_need(to, "to", &err)) == 0 &&
	    (rc = lib_need(o, "o", &err)) == 0 &&
	    (rc = lib_take(&open_options, o, &own, &err)) == 0 &&
	    (rc = control_begin(&k, c, &err)) == 0 &&
	    (rc = open_it(from, to, &own, &k, r, &err)) == 0)
		control_end(&k);
	return lib_done(rc, &err, e);
}
