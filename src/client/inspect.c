/* What a container shows to somebody without a key. */
#include <stdlib.h>
#include <string.h>

#include "client/pipeline.h"

static void describe(const struct stanza *st, struct stanza_info *out)
{
	const uint8_t *p = st->body;

	*out = (struct stanza_info){.type = st->type};
	switch (out->type) {
	case STANZA_XWING:
	case STANZA_MLKEM1024_P384:
		memcpy(out->id, p, ID_LEN);
		break;
	case STANZA_KEK:
		memcpy(out->kek_id, p, KEK_ID_LEN);
		out->kek_version = be32_get(p + KEK_ID_LEN);
		break;
	case STANZA_PASSPHRASE:
		out->argon = (struct argon2_params){be32_get(p), be32_get(p + 4), be32_get(p + 8)};
		break;
	case STANZA_RAW:
		break;
	}
}

static int inspect_head(struct source *src, struct inspect_result *r, struct err *e)
{
	uint8_t *head = malloc(PQX_BODY_OFFSET);
	struct keyblock *kb = NULL;
	size_t got;
	int rc;

	if (head == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the key block");
	if ((rc = source_read(src, head, PQX_BODY_OFFSET, 0, &got, e)) != 0)
		goto out;
	rc = got == PQX_BODY_OFFSET ? pqx_head_decode(head, &r->header, &kb) : PQC_EINTEGRITY;
	if (rc != 0) {
		err_set(e, rc,
			rc == PQC_EINTEGRITY ? "this is not a container"
					     : "the container could not be read");
		goto out;
	}
	r->generation = keyblock_generation(kb);
	r->nstanzas = keyblock_count(kb);
	for (size_t i = 0; i < r->nstanzas; i++)
		describe(keyblock_stanza(kb, i), &r->stanza[i]);
out:
	keyblock_free(kb);
	free(head);
	return rc;
}

/* tail[n] is the end of a file that has `behind` bytes after its head. */
static int judge_tail(const uint8_t *tail, size_t n, uint64_t behind, struct inspect_result *r)
{
	const struct pqx_header *h = &r->header;
	struct pqx_manifest m;
	const uint8_t *p;
	uint64_t count;
	size_t len;
	int rc;

	if ((rc = pqx_trailer_get(tail, n, &len)) != 0)
		return rc;
	p = tail + n - PQX_TRAILER_LEN - len;
	if (pqx_header_is_signed(h))
		rc = pqx_manifest_check(h, NULL, p, len, &m);
	else
		rc = pqx_manifest_decode(h, p, len, &m);
	if (rc != 0)
		return rc;
	if (pqx_part_count(h->part_size, m.plain_size, &count) != 0 ||
	    behind - PQX_TRAILER_LEN - len != pqx_body_len(h->part_size, m.plain_size))
		return PQC_EINTEGRITY;
	r->body_size = behind - PQX_TRAILER_LEN - len;
	r->status = m.is_signed ? MANIFEST_SIGNED : MANIFEST_UNSIGNED;
	r->manifest = m;
	return 0;
}

static int inspect_tail(struct source *src, struct inspect_result *r, struct err *e)
{
	const uint64_t behind = src->size > PQX_BODY_OFFSET ? src->size - PQX_BODY_OFFSET : 0;
	const size_t n = behind < PQX_TAIL_MAX ? (size_t)behind : PQX_TAIL_MAX;
	uint8_t tail[PQX_TAIL_MAX];
	size_t got;
	int rc;

	if ((rc = source_read(src, tail, n, src->size - n, &got, e)) != 0)
		return rc;
	r->file_size = src->size;
	r->status = MANIFEST_BAD;
	rc = got == n ? judge_tail(tail, n, behind, r) : PQC_EINTEGRITY;
	if (rc != 0 && rc != PQC_EINTEGRITY)
		return err_set(e, rc, "the manifest could not be checked");
	return 0;
}

int inspect_file(int fd, struct inspect_result *out, struct err *e)
{
	const struct pqc_source from = {.kind = PQC_IO_FD, .fd = fd};
	struct inspect_result *r;
	struct source src;
	int rc;

	if ((rc = source_init(&src, &from, e)) != 0)
		return rc;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return err_set(e, PQC_ENOMEM, "no memory for the result");
	rc = inspect_head(&src, r, e);
	if (rc == 0 && src.seekable)
		rc = inspect_tail(&src, r, e);
	if (rc == 0)
		*out = *r;
	free(r);
	return rc;
}
