/* Sealing a file or a stream into a container. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/io.h"
#include "client/pipeline.h"
#include "client/seal_to.h"
#include "crypto/secmem.h"

/* One sealing, from first to last. */
struct sealing {
	const struct seal_opts *o;
	struct source src;
	struct sink dst;
	struct halt halt;
	struct pqx_header h;
	struct pqx_keys *k; /* secret memory */
};

static int add_failed(int r, const char *what, struct err *e)
{
	switch (r) {
	case PQC_EUSAGE:
		return err_set(e, r, "%s: a passphrase must be the only key of a container", what);
	case PQC_ETOOBIG:
		return err_set(e, r, "%s: a container has at most %d keys", what, STANZA_COUNT_MAX);
	case PQC_EINTEGRITY:
		return err_set(e, r, "%s: its public key is not valid", what);
	default:
		return err_set(e, r, "%s: the key could not be wrapped", what);
	}
}

static int add_passphrase(const struct seal_to *to, const struct pqx_header *h,
			  const struct pqx_keys *k, struct keyblock *kb, struct err *e)
{
	const struct argon2_params usual = ARGON2_DEFAULT;
	const struct argon2_params *a = to->argon != NULL ? to->argon : &usual;
	int r;

	if (to->passphrase[0] == '\0')
		return err_set(e, PQC_EUSAGE, "the passphrase is empty");
	if (!argon2_in_bounds(a))
		return err_set(e, PQC_EUSAGE,
			       "Argon2id takes 8192 to 1048576 KiB, 1 to 16 passes, 1 to 16 lanes");
	if ((r = keyblock_add_passphrase(kb, h, k, to->passphrase, a)) != 0)
		return add_failed(r, "passphrase", e);
	return 0;
}

/* Flag bit 0 of the header says for good whether a container may have one (docs/container.md). */
static int add_kek(const struct seal_to *to, const struct pqx_header *h, const struct pqx_keys *k,
		   struct keyblock *kb, struct err *e)
{
	int r = keyblock_add_kek(kb, h, k, to->kek);

	if (r == PQC_EUSAGE)
		return err_set(e, r,
			       "a key-encryption key can be given when a container is sealed, not "
			       "later, and not beside a passphrase");
	return r == 0 ? 0 : add_failed(r, "key-encryption key", e);
}

static int add_raw_key(const struct seal_to *to, const struct pqx_header *h,
		       const struct pqx_keys *k, struct keyblock *kb, struct err *e)
{
	uint8_t key[KEY_LEN];
	int r;

	r = raw_key_bind(to->raw_key, to->associated_data, to->associated_data_size, key);
	if (r == 0)
		r = keyblock_add_raw(kb, h, k, key);
	secret_wipe(key, sizeof(key));
	return r == 0 ? 0 : add_failed(r, "raw key", e);
}

int seal_to_apply(const struct seal_to *to, const struct pqx_header *h, const struct pqx_keys *k,
		  struct keyblock *kb, struct err *e)
{
	size_t i;
	int r;

	r = raw_key_check(to->raw_key, to->associated_data, to->associated_data_size, e);
	if (r != 0)
		return r;
	for (i = 0; i < to->nrecipients; i++) {
		if ((r = keyblock_add_recipient(kb, h, k, to->recipients[i])) != 0)
			return add_failed(r, "recipient", e);
	}
	if (to->kek != NULL && (r = add_kek(to, h, k, kb, e)) != 0)
		return r;
	if (to->raw_key != NULL && (r = add_raw_key(to, h, k, kb, e)) != 0)
		return r;
	if (to->passphrase != NULL)
		return add_passphrase(to, h, k, kb, e);
	return 0;
}

/* Suite, part size, sender: what the options leave open is decided here. */
static int choose(struct sealing *s, struct err *e)
{
	const struct seal_opts *o = s->o;
	const struct public_identity *by = o->sign != NULL ? identity_public(o->sign) : NULL;
	uint64_t n;

	s->h.suite = o->suite;
	if (s->h.suite == NULL)
		s->h.suite = by != NULL ? by->suite : suite_by_id(SUITE_KYBER768);
	if (by != NULL && by->suite != s->h.suite)
		return err_set(e, PQC_EUSAGE, "an identity of %s cannot sign a container of %s",
			       by->suite->name, s->h.suite->name);
	if (by != NULL)
		memcpy(s->h.sender_id, by->id, ID_LEN);
	s->h.part_size = o->part_size != 0 ? o->part_size : PQX_PART_DEFAULT;
	s->h.flags = o->whom.kek == NULL ? PQX_FLAG_E2E : 0;
	s->h.plain_size = s->src.size;
	if (s->h.part_size < PQX_PART_MIN || s->h.part_size > PQX_PART_MAX ||
	    (s->h.part_size & (s->h.part_size - 1)) != 0)
		return err_set(e, PQC_EUSAGE,
			       "part size %" PRIu32 ": not a power of two from %u to %u",
			       s->h.part_size, PQX_PART_MIN, PQX_PART_MAX);
	if (s->src.size != PQX_SIZE_UNKNOWN && pqx_part_count(s->h.part_size, s->src.size, &n) != 0)
		return err_set(e, PQC_ETOOBIG, "too large for parts of %" PRIu32 " bytes",
			       s->h.part_size);
	return 0;
}

uint64_t seal_size(const struct suite *s, uint32_t part_size, uint64_t plain_size, bool is_signed)
{
	uint64_t n;

	if (part_size < PQX_PART_MIN || part_size > PQX_PART_MAX ||
	    (part_size & (part_size - 1)) != 0 || plain_size == PQX_SIZE_UNKNOWN ||
	    pqx_part_count(part_size, plain_size, &n) != 0)
		return PQX_SIZE_UNKNOWN;
	return PQX_BODY_OFFSET + pqx_body_len(part_size, plain_size) +
	       pqx_manifest_len(s, is_signed) + PQX_TRAILER_LEN;
}

static int make_head(struct sealing *s, uint8_t head[PQX_BODY_OFFSET], struct err *e)
{
	struct keyblock *kb = keyblock_new();
	int r;

	if (kb == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the key block");
	if ((r = seal_to_apply(&s->o->whom, &s->h, s->k, kb, e)) == 0 &&
	    (r = pqx_head_encode(&s->h, s->k, kb, head)) != 0)
		err_set(e, r,
			r == PQC_EUSAGE ? "nobody could open this: no recipient, no key"
					: "the key block could not be made");
	keyblock_free(kb);
	return r;
}

/* What will come is announced first: nothing is written where it has no room. */
static int write_head(struct sealing *s, struct seal_result *out, struct err *e)
{
	uint8_t *head = malloc(PQX_BODY_OFFSET);
	int r;

	if (head == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the key block");
	out->plain_size = s->h.plain_size;
	out->sealed_size =
		seal_size(s->h.suite, s->h.part_size, s->h.plain_size, s->o->sign != NULL);
	if ((r = make_head(s, head, e)) == 0 &&
	    (out->sealed_size == PQX_SIZE_UNKNOWN ||
	     (r = sink_expect(&s->dst, out->sealed_size, e)) == 0))
		r = sink_write(&s->dst, head, PQX_BODY_OFFSET, 0, e);
	free(head);
	return r;
}

static int seal_piece(void *arg, struct aead *a, struct piece *p, struct err *e)
{
	const struct sealing *s = arg;
	const struct span plain = {p->in, p->in_len};
	int r;

	r = pqx_part_seal(a, &s->h, s->k, p->i, p->final, &plain, p->out, p->leaf);
	if (r != 0)
		return err_set(e, r, "part %" PRIu64 " could not be sealed", p->i);
	p->plain_len = p->in_len;
	p->out_len = pqx_part_sealed_len(p->in_len);
	return 0;
}

static int write_body(struct sealing *s, struct pipeline_result *r, struct err *e)
{
	const size_t capacity = pqx_part_capacity(s->h.part_size);
	const struct pipeline_opts p = {
		.src = &s->src,
		.src_len = s->src.size,
		.src_piece = capacity,
		.dst = &s->dst,
		.dst_off = PQX_BODY_OFFSET,
		.dst_piece = s->h.part_size,
		.dst_max = pqx_part_sealed_len(s->src.size < capacity ? (size_t)s->src.size
								      : capacity),
		.work = seal_piece,
		.work_arg = s,
		.suite = s->h.suite,
		.threads = s->o->threads,
		.plain_size = s->h.plain_size,
		.hash = s->o->sha256 != NULL,
		.plain_in = true,
		.progress = s->o->progress,
		.progress_arg = s->o->arg,
		.halt = &s->halt,
	};

	return pipeline_run(&p, r, e);
}

/* Manifest and trailer; *len gets how many bytes that was. */
static int write_tail(struct sealing *s, const struct pipeline_result *body, size_t *len,
		      struct err *e)
{
	struct pqx_manifest m = {.n = body->n, .plain_size = body->plain_size, .time = s->o->time};
	struct buf b = BUF_INIT(PQX_TAIL_MAX);
	int r;

	memcpy(m.root, body->root, HASH_MAX);
	if ((r = pqx_manifest_make(&s->h, s->k, s->o->sign, &m, &b)) == 0) {
		pqx_trailer_put(b.len, &b);
		r = buf_error(&b);
	}
	if (r != 0)
		err_set(e, r, "the manifest could not be made");
	else
		r = sink_write(&s->dst, b.p, b.len, PQX_BODY_OFFSET + body->dst_len, e);
	*len = b.len;
	buf_free(&b);
	return r;
}

static int seal_all(struct sealing *s, struct seal_result *out, struct err *e)
{
	struct pipeline_result *body = calloc(1, sizeof(*body));
	size_t tail;
	int r;

	if (body == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the result");
	if ((r = write_head(s, out, e)) != 0)
		goto out;
	if ((r = write_body(s, body, e)) != 0)
		goto out;
	if ((r = source_unchanged(&s->src, e)) != 0)
		goto out;
	if ((r = write_tail(s, body, &tail, e)) != 0)
		goto out;
	out->header = s->h;
	out->n = body->n;
	out->plain_size = body->plain_size;
	out->sealed_size = PQX_BODY_OFFSET + body->dst_len + tail;
	if ((r = sink_finish(&s->dst, out->sealed_size, e)) == 0 && s->o->sha256 != NULL)
		memcpy(s->o->sha256, body->sha256, SHA256_LEN);
out:
	free(body);
	return r;
}

static int run(struct sealing *s, struct seal_result *out, struct err *e)
{
	int r;

	if ((r = source_init(&s->src, s->o->from, e)) != 0 ||
	    (r = sink_init(&s->dst, s->o->to, e)) != 0)
		return r;
	s->halt.cancel = s->o->cancel;
	s->src.halt = s->dst.halt = &s->halt;
	if ((r = ends_apart(&s->src, &s->dst, e)) != 0 || (r = choose(s, e)) != 0)
		return r;
	if ((s->k = secret_alloc(sizeof(*s->k))) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the keys");
	if ((r = pqx_header_new(&s->h, s->k)) != 0)
		err_set(e, r, "the keys of the container could not be made");
	else
		r = seal_all(s, out, e);
	secret_free(s->k, sizeof(*s->k));
	return r;
}

int seal_stream(const struct seal_opts *o, struct seal_result *out, struct err *e)
{
	struct sealing s = {.o = o, .src.fd = -1, .dst.direct = -1, .dst.file = OUTFILE_NONE};
	int r;

	memset(out, 0, sizeof(*out));
	r = run(&s, out, e);
	source_close(&s.src);
	sink_close(&s.dst);
	return r;
}
