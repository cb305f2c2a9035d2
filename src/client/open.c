/* Opening a container, file or stream. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/io.h"
#include "client/pipeline.h"
#include "client/seal_to.h"
#include "crypto/secmem.h"

/* One opening, from first to last. */
struct opening {
	const struct open_opts *o;
	struct source src;
	struct sink dst;
	struct halt halt;
	struct pqx_header h;
	struct pqx_keys *k; /* secret memory */
	uint64_t body_len;  /* of a regular file */
	struct pqx_manifest manifest;
};

/* The one answer to every kind of damage; other failures keep their code. */
static int damaged(int r, struct err *e)
{
	if (r == PQC_EINTEGRITY)
		return err_set(e, r, "this is not a valid container, or not for this key");
	return err_set(e, r, "the container could not be checked");
}

static int try_raw_key(const struct open_keys *o, const struct keyblock *kb,
		       const struct pqx_header *h, struct pqx_keys *k)
{
	uint8_t key[KEY_LEN];
	int r = raw_key_bind(o->raw_key, o->associated_data, o->associated_data_size, key);

	if (r == 0)
		r = keyblock_open_raw(kb, h, key, k);
	secret_wipe(key, sizeof(key));
	return r;
}

/* Each kind of key in turn, as long as the verdict is "not for this key". */
static int try_keys(const struct open_keys *o, const struct keyblock *kb,
		    const struct pqx_header *h, struct pqx_keys *k)
{
	int r = PQC_ENOKEY;

	if (o->identity != NULL)
		r = keyblock_open_identity(kb, h, o->identity, k);
	if (r == PQC_ENOKEY && o->kek != NULL)
		r = keyblock_open_kek(kb, h, o->kek, k);
	if (r == PQC_ENOKEY && o->raw_key != NULL)
		r = try_raw_key(o, kb, h, k);
	if (r == PQC_ENOKEY && o->passphrase != NULL)
		r = keyblock_open_passphrase(kb, h, o->passphrase, k);
	return r;
}

int open_keys_unlock(const struct open_keys *o, const struct keyblock *kb,
		     const struct pqx_header *h, struct pqx_keys *k, struct err *e)
{
	int r = raw_key_check(o->raw_key, o->associated_data, o->associated_data_size, e);

	if (r != 0 || (r = try_keys(o, kb, h, k)) == 0)
		return r;
	if (r == PQC_ENOKEY && keyblock_stanza(kb, 0)->type == STANZA_PASSPHRASE)
		return err_set(e, PQC_EPASSPHRASE, "a passphrase is needed to open this");
	if (r == PQC_EPASSPHRASE)
		return err_set(e, r, "the passphrase does not open this");
	if (r == PQC_ENOKEY)
		return err_set(e, r, "none of the keys at hand opens this");
	return damaged(r, e);
}

static int expect_sender(const struct opening *s, struct err *e)
{
	const uint8_t *want = s->o->expected_sender;

	if (want == NULL || memcmp(want, s->h.sender_id, ID_LEN) == 0)
		return 0;
	return err_set(e, PQC_EREFUSED,
		       pqx_header_is_signed(&s->h) ? "signed by another than the expected sender"
						   : "not signed, but a sender was expected");
}

static int read_head(struct opening *s, struct err *e)
{
	uint8_t *head = malloc(PQX_BODY_OFFSET);
	struct keyblock *kb = NULL;
	size_t got;
	int r;

	if (head == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the key block");
	if ((r = source_read(&s->src, head, PQX_BODY_OFFSET, 0, &got, e)) != 0)
		goto out;
	r = got == PQX_BODY_OFFSET ? pqx_head_decode(head, &s->h, &kb) : PQC_EINTEGRITY;
	if (r != 0) {
		damaged(r, e);
		goto out;
	}
	if ((r = expect_sender(s, e)) != 0)
		goto out;
	r = open_keys_unlock(&s->o->keys, kb, &s->h, s->k, e);
out:
	keyblock_free(kb);
	free(head);
	return r;
}

/* p[n] ends with manifest and trailer. */
static int check_tail(struct opening *s, const uint8_t *p, size_t n, size_t *tail_len)
{
	size_t len;
	int r;

	if ((r = pqx_trailer_get(p, n, &len)) != 0)
		return r;
	*tail_len = len + PQX_TRAILER_LEN;
	return pqx_manifest_check(&s->h, s->k, p + n - *tail_len, len, &s->manifest);
}

/* A regular file's end is at hand: it is checked before anything is opened. */
static int read_tail(struct opening *s, struct err *e)
{
	const uint64_t behind = s->src.size > PQX_BODY_OFFSET ? s->src.size - PQX_BODY_OFFSET : 0;
	const size_t n = behind < PQX_TAIL_MAX ? (size_t)behind : PQX_TAIL_MAX;
	uint8_t tail[PQX_TAIL_MAX];
	size_t got, tail_len;
	int r;

	if ((r = source_read(&s->src, tail, n, s->src.size - n, &got, e)) != 0)
		return r;
	r = got == n ? check_tail(s, tail, n, &tail_len) : PQC_EINTEGRITY;
	if (r != 0)
		return damaged(r, e);
	s->body_len = behind - tail_len;
	if (s->body_len != pqx_body_len(s->h.part_size, s->manifest.plain_size))
		return damaged(PQC_EINTEGRITY, e);
	return 0;
}

static int open_piece(void *arg, struct aead *a, struct piece *p, struct err *e)
{
	const struct opening *s = arg;
	const struct span sealed = {p->in, p->in_len};
	int r;

	if ((r = pqx_leaf(s->h.suite, p->i, &sealed, p->leaf)) != 0)
		return damaged(r, e);
	r = pqx_part_open(a, &s->h, s->k, p->i, p->final, &sealed, p->out, &p->plain_len);
	if (r != 0)
		return damaged(r, e);
	p->out_len = p->plain_len;
	return 0;
}

/* How far the trailing manifest of a stream reaches back. */
static int stream_tail(const uint8_t *p, size_t n, size_t *len)
{
	int r = pqx_trailer_get(p, n, len);

	*len += PQX_TRAILER_LEN;
	return r;
}

static int open_body(struct opening *s, struct pipeline_result *r, struct err *e)
{
	const bool stream = !s->src.seekable;
	const uint64_t plain_size = stream ? s->h.plain_size : s->manifest.plain_size;
	const size_t capacity = pqx_part_capacity(s->h.part_size);
	const struct pipeline_opts p = {
		.src = &s->src,
		.src_off = PQX_BODY_OFFSET,
		.src_len = s->body_len,
		.src_piece = s->h.part_size,
		.tail_len = stream ? stream_tail : NULL,
		.tail_max = stream ? PQX_TAIL_MAX : 0,
		.dst = &s->dst,
		.dst_piece = capacity,
		.dst_max = plain_size < capacity ? (size_t)plain_size : capacity,
		.work = open_piece,
		.work_arg = s,
		.suite = s->h.suite,
		.threads = s->o->threads,
		.plain_size = plain_size,
		.hash = s->o->sha256 != NULL,
		.progress = s->o->progress,
		.progress_arg = s->o->arg,
		.halt = &s->halt,
	};

	return pipeline_run(&p, r, e);
}

/* The parts that were opened are the manifest's, all of them. */
static bool body_is_manifests(const struct opening *s, const struct pipeline_result *body)
{
	const struct pqx_manifest *m = &s->manifest;

	return body->n == m->n && body->plain_size == m->plain_size &&
	       memcmp(body->root, m->root, s->h.suite->hash_len) == 0;
}

static int open_all(struct opening *s, struct open_result *out, struct err *e)
{
	struct pipeline_result *body = calloc(1, sizeof(*body));
	size_t tail_len;
	int r;

	if (body == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the result");
	if ((r = read_head(s, e)) != 0)
		goto out;
	out->plain_size = s->h.plain_size;
	if (s->src.seekable) {
		if ((r = read_tail(s, e)) != 0)
			goto out;
		out->plain_size = s->manifest.plain_size;
	}
	if (out->plain_size != PQX_SIZE_UNKNOWN &&
	    (r = sink_expect(&s->dst, out->plain_size, e)) != 0)
		goto out;
	if ((r = open_body(s, body, e)) != 0)
		goto out;
	if (!s->src.seekable) {
		r = check_tail(s, body->tail, body->tail_len, &tail_len);
		if (r != 0) {
			damaged(r, e);
			goto out;
		}
	}
	if (!body_is_manifests(s, body)) {
		r = damaged(PQC_EINTEGRITY, e);
		goto out;
	}
	out->header = s->h;
	out->n = body->n;
	out->plain_size = body->plain_size;
	out->time = s->manifest.time;
	if ((r = sink_finish(&s->dst, body->plain_size, e)) == 0 && s->o->sha256 != NULL)
		memcpy(s->o->sha256, body->sha256, SHA256_LEN);
out:
	free(body);
	return r;
}

static int run(struct opening *s, struct open_result *out, struct err *e)
{
	int r;

	if ((r = source_init(&s->src, s->o->from, e)) != 0 ||
	    (r = sink_init(&s->dst, s->o->to, e)) != 0 ||
	    (r = ends_apart(&s->src, &s->dst, e)) != 0)
		return r;
	s->halt.cancel = s->o->cancel;
	s->src.halt = s->dst.halt = &s->halt;
	if ((s->k = secret_alloc(sizeof(*s->k))) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the keys");
	r = open_all(s, out, e);
	secret_free(s->k, sizeof(*s->k));
	return r;
}

int open_stream(const struct open_opts *o, struct open_result *out, struct err *e)
{
	struct opening s = {.o = o, .src.fd = -1, .dst.direct = -1, .dst.file = OUTFILE_NONE};
	int r;

	memset(out, 0, sizeof(*out));
	r = run(&s, out, e);
	source_close(&s.src);
	sink_close(&s.dst);
	return r;
}
