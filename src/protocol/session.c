#include "protocol/session.h"

#include <string.h>

#include "crypto/secmem.h"
#include "protocol/session_keys.h"

struct direction {
	struct traffic_key key;
	uint64_t number; /* of the next message */
};
struct session {
	struct direction tx, rx;
	struct traffic_key frame;
	struct aead *aead;
	bool broken; /* a message did not open: nothing opens any more */
};

int session_new(struct session **out, const struct session_keys *k, bool server)
{
	struct session *s = secret_alloc(sizeof(*s));

	if (!s)
		return PQC_ENOMEM;
	if (!(s->aead = aead_new())) {
		session_free(s);
		return PQC_ENOMEM;
	}
	s->tx.key = server ? k->s_ctl : k->c_ctl;
	s->rx.key = server ? k->c_ctl : k->s_ctl;
	s->frame = k->c_frame;
	*out = s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	aead_free(s->aead);
	secret_free(s, sizeof(*s));
}

static int seal(struct session *s, const struct span *aad, const struct msg *m, struct buf *out)
{
	size_t start = out->len;
	uint8_t iv[AEAD_IV], *text, *tag;
	struct span in;
	int r;

	buf_put_u8(out, WIRE_CONTROL);
	if ((r = msg_encode(m, out)) != 0)
		goto out;
	in.n = out->len - start - 1;
	if (!(tag = buf_extend(out, AEAD_TAG))) {
		r = buf_error(out);
		goto out;
	}
	in.p = text = out->p + start + 1;
	/* The number is spent before it is used: whatever fails, it cannot be used again. */
	aead_nonce(s->tx.key.iv, s->tx.number++, iv);
	r = aead_seal(s->aead, s->tx.key.key, iv, aad, &in, text, tag);
out:
	if (r != 0)
		buf_truncate(out, start);
	return r;
}

/* PQC_EINTEGRITY: it does not open. PQC_EPROTO: it opens, and is no message. */
static int open(struct session *s, const struct span *aad, uint8_t *wire, size_t n, struct msg *m)
{
	uint8_t iv[AEAD_IV];
	struct span in;
	int r = PQC_EINTEGRITY;

	*m = (struct msg){0};
	if (s->broken || n < 1 + AEAD_TAG || n > MSG_MAX || wire[0] != WIRE_CONTROL)
		goto out;
	in = (struct span){wire + 1, n - 1 - AEAD_TAG};
	aead_nonce(s->rx.key.iv, s->rx.number, iv);
	r = aead_open(s->aead, s->rx.key.key, iv, aad, &in, wire + n - AEAD_TAG, wire + 1);
	if (r == 0)
		r = msg_decode(in.p, in.n, m);
out:
	if (r == 0)
		s->rx.number++;
	else
		s->broken = true;
	return r;
}

static const uint8_t control = WIRE_CONTROL;

int session_seal(struct session *s, const struct msg *m, struct buf *out)
{
	return seal(s, &(struct span){&control, 1}, m, out);
}

int session_open(struct session *s, uint8_t *wire, size_t n, struct msg *m)
{
	int r = open(s, &(struct span){&control, 1}, wire, n, m);

	return r == PQC_EINTEGRITY ? PQC_EPROTO : r;
}

int session_seal_m4(struct session *s, const uint8_t th4[SHA512_LEN], const struct msg *m,
		    struct buf *out)
{
	return seal(s, &(struct span){th4, SHA512_LEN}, m, out);
}

int session_open_m4(struct session *s, const uint8_t th4[SHA512_LEN], uint8_t *wire, size_t n,
		    struct msg *m)
{
	return open(s, &(struct span){th4, SHA512_LEN}, wire, n, m);
}

/* Where the fields of a frame header lie (docs/protocol.md, "Data"). */
enum {
	AT_KIND = 0,
	AT_FLAGS = 1,
	AT_ZERO = 2,
	AT_HANDLE = 4,
	AT_PART = 8,
	AT_SEQUENCE = 16,
	AT_LENGTH = 24,
	AT_ZERO2 = 28
};

void frame_encode(const struct frame *f, uint8_t out[FRAME_LEN])
{
	memset(out, 0, FRAME_LEN);
	out[AT_KIND] = WIRE_DATA;
	out[AT_FLAGS] = f->flags;
	be32_put(out + AT_HANDLE, f->handle);
	be64_put(out + AT_PART, f->part);
	be64_put(out + AT_SEQUENCE, f->sequence);
	be32_put(out + AT_LENGTH, f->length);
}

int frame_decode(const uint8_t in[FRAME_LEN], struct frame *f)
{
	if (in[AT_KIND] != WIRE_DATA || (in[AT_FLAGS] & ~FRAME_FINAL) != 0 ||
	    be16_get(in + AT_ZERO) != 0 || be32_get(in + AT_ZERO2) != 0)
		return PQC_EPROTO;
	*f = (struct frame){
		.flags = in[AT_FLAGS],
		.handle = be32_get(in + AT_HANDLE),
		.part = be64_get(in + AT_PART),
		.sequence = be64_get(in + AT_SEQUENCE),
		.length = be32_get(in + AT_LENGTH),
	};
	return 0;
}

int session_frame_tag(const struct session *s, struct aead *a, const uint8_t head[FRAME_LEN],
		      const uint8_t *leaf, size_t leaf_len, uint8_t tag[AEAD_TAG])
{
	uint8_t aad[FRAME_LEN + HASH_MAX], iv[AEAD_IV];

	if (leaf_len > HASH_MAX)
		return PQC_EFAIL;
	memcpy(aad, head, FRAME_LEN);
	memcpy(aad + FRAME_LEN, leaf, leaf_len);
	aead_nonce(s->frame.iv, be64_get(head + AT_SEQUENCE), iv);
	return aead_seal(a, s->frame.key, iv, &(struct span){aad, FRAME_LEN + leaf_len}, NULL, NULL,
			 tag);
}

int session_frame_check(const struct session *s, struct aead *a, const uint8_t head[FRAME_LEN],
			const uint8_t *leaf, size_t leaf_len, const uint8_t tag[AEAD_TAG])
{
	uint8_t expected[AEAD_TAG];
	int r;

	/* One computation for both sides; comparing tags is what opening without a plaintext does. */
	if ((r = session_frame_tag(s, a, head, leaf, leaf_len, expected)) == 0 &&
	    !secret_equal(expected, tag, AEAD_TAG))
		r = PQC_EPROTO;
	secret_wipe(expected, sizeof(expected));
	return r;
}
