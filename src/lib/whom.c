#include "lib/whom.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/secmem.h"

static const struct lib_options seal_options = {"struct pqc_seal_options",
						LIB_UP_TO(struct pqc_seal_options, sha256),
						sizeof(struct pqc_seal_options)};
static const struct lib_options open_options = {"struct pqc_open_options",
						LIB_UP_TO(struct pqc_open_options, sha256),
						sizeof(struct pqc_open_options)};

int whom_take_seal(const struct pqc_seal_options *given, struct pqc_seal_options *out,
		   struct err *e)
{
	int rc = lib_need(given, "the struct pqc_seal_options", e);

	return rc != 0 ? rc : lib_take(&seal_options, given, out, e);
}

int whom_take_open(const struct pqc_open_options *given, struct pqc_open_options *out,
		   struct err *e)
{
	int rc = lib_need(given, "the struct pqc_open_options", e);

	return rc != 0 ? rc : lib_take(&open_options, given, out, e);
}

int whom_check_threads(unsigned threads, struct err *e)
{
	if (threads <= SEAL_THREADS_MAX)
		return 0;
	return err_set(e, PQC_EUSAGE, "threads is %u, expected at most %d", threads,
		       SEAL_THREADS_MAX);
}

void whom_free(struct whom *w)
{
	secret_wipe(&w->kek, sizeof(w->kek));
	free(w->list);
}

static const struct kek *take_kek(struct whom *w, const struct pqc_kek *kek)
{
	if (kek == NULL)
		return NULL;
	memcpy(w->kek.id, kek->id, sizeof(w->kek.id));
	w->kek.version = kek->version;
	memcpy(w->kek.key, kek->key, sizeof(w->kek.key));
	return &w->kek;
}

static int check_associated(const void *data, size_t size, const uint8_t *raw_key, struct err *e)
{
	if (size > 0 && data == NULL)
		return err_set(e, PQC_EUSAGE,
			       "associated_data is NULL and associated_data_size is %zu", size);
	if (size > 0 && raw_key == NULL)
		return err_set(e, PQC_EUSAGE, "associated_data is bound to raw_key, which is NULL");
	return 0;
}

/* ---- sealing ---- */

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
	return check_associated(o->associated_data, o->associated_data_size, o->raw_key, e);
}

static int take_recipients(struct whom *w, const struct pqc_seal_options *o, struct seal_to *to,
			   struct err *e)
{
	if (o->recipient_count == 0)
		return 0;
	if (o->recipient_count > STANZA_COUNT_MAX)
		return err_set(e, PQC_EUSAGE, "recipient_count is %zu, expected at most %d",
			       o->recipient_count, STANZA_COUNT_MAX);
	if (o->recipients == NULL)
		return err_set(e, PQC_EUSAGE, "recipients is NULL and recipient_count is %zu",
			       o->recipient_count);
	if ((w->list = calloc(o->recipient_count, sizeof(*w->list))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	for (size_t i = 0; i < o->recipient_count; i++) {
		if (o->recipients[i] == NULL)
			return err_set(e, PQC_EUSAGE, "recipients[%zu] is NULL", i);
		w->list[i] = &o->recipients[i]->is;
	}
	to->recipients = w->list;
	to->nrecipients = o->recipient_count;
	return 0;
}

int whom_seal(struct whom *w, const struct pqc_seal_options *o, struct seal_to *to, struct err *e)
{
	int rc;

	*w = (struct whom){.list = NULL};
	*to = (struct seal_to){.passphrase = o->passphrase,
			       .raw_key = o->raw_key,
			       .associated_data = o->associated_data,
			       .associated_data_size = o->associated_data_size};
	if ((rc = check_seal(o, e)) != 0)
		return rc;
	to->kek = take_kek(w, o->kek);
	return take_recipients(w, o, to, e);
}

/* ---- opening ---- */

int whom_open(struct whom *w, const struct pqc_open_options *o, struct open_keys *keys,
	      struct err *e)
{
	*w = (struct whom){.list = NULL};
	if (o->identity == NULL && o->passphrase == NULL && o->raw_key == NULL && o->kek == NULL)
		return err_set(e, PQC_EUSAGE,
			       "with what? set identity, passphrase, raw_key or kek");
	*keys = (struct open_keys){.identity = o->identity != NULL ? o->identity->id : NULL,
				   .passphrase = o->passphrase,
				   .raw_key = o->raw_key,
				   .associated_data = o->associated_data,
				   .associated_data_size = o->associated_data_size,
				   .kek = take_kek(w, o->kek)};
	return check_associated(o->associated_data, o->associated_data_size, o->raw_key, e);
}
