/* Frame headers and masks: RFC 6455 sections 5.2 and 5.3. */
#include <string.h>

#include "net/ws_internal.h"

#define BIT_FIN	   0x80
#define BITS_RSV   0x70
#define BITS_OP	   0x0f
#define BIT_MASKED 0x80
#define BITS_LEN   0x7f
#define LEN_16	   126 /* a 16-bit length follows */
#define LEN_64	   127 /* a 64-bit length follows */

size_t ws_header(uint8_t out[WS_HEADER_MAX], enum ws_opcode op, uint64_t n, const uint8_t mask[4])
{
	size_t len = 2;

	out[0] = (uint8_t)(BIT_FIN | op);
	if (n < LEN_16) {
		out[1] = (uint8_t)n;
	} else if (n <= UINT16_MAX) {
		out[1] = LEN_16;
		be16_put(out + 2, (uint16_t)n);
		len += 2;
	} else {
		out[1] = LEN_64;
		be64_put(out + 2, n);
		len += 8;
	}
	if (mask) {
		out[1] |= BIT_MASKED;
		memcpy(out + len, mask, 4);
		len += 4;
	}
	return len;
}

static bool known(unsigned op)
{
	return op <= WS_BINARY || (op >= WS_CLOSE && op <= WS_PONG);
}

/* The first two bytes: everything that can be refused before the length is there. */
static int decode_start(const uint8_t p[2], bool masked, struct ws_frame *f)
{
	unsigned op = p[0] & BITS_OP;
	unsigned len = p[1] & BITS_LEN;

	if (p[0] & BITS_RSV || !known(op) || !(p[1] & BIT_MASKED) == masked)
		return PQC_EPROTO;
	f->op = (enum ws_opcode)op;
	f->fin = p[0] & BIT_FIN;
	f->len = len;
	if (ws_is_control(f->op) && (!f->fin || len > WS_CONTROL_MAX))
		return PQC_EPROTO;
	return 0;
}

int ws_frame_decode(const uint8_t *p, size_t n, bool masked, struct ws_frame *f)
{
	size_t len = 2, ext;

	if (n < 2)
		return PQC_EAGAIN;
	if (decode_start(p, masked, f) != 0)
		return PQC_EPROTO;
	ext = f->len == LEN_16 ? 2 : f->len == LEN_64 ? 8 : 0;
	if (n < len + ext)
		return PQC_EAGAIN;
	if (ext) {
		/* "the minimal number of bytes MUST be used", "the most significant bit MUST be 0" */
		uint64_t least = ext == 2 ? LEN_16 : UINT16_MAX + 1;

		f->len = ext == 2 ? be16_get(p + len) : be64_get(p + len);
		if (f->len < least || f->len > INT64_MAX)
			return PQC_EPROTO;
		len += ext;
	}
	memset(f->mask, 0, sizeof(f->mask));
	if (masked) {
		if (n < len + 4)
			return PQC_EAGAIN;
		memcpy(f->mask, p + len, 4);
		len += 4;
	}
	return (int)len;
}

/* The compiler makes of this what the machine has; p needs no alignment. */
typedef uint8_t block __attribute__((vector_size(64), aligned(1), may_alias));

void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], size_t off)
{
	uint8_t wide[sizeof(block)];
	block m;
	size_t i = 0;

	for (size_t k = 0; k < sizeof(wide); k++)
		wide[k] = mask[(off + k) % 4];
	memcpy(&m, wide, sizeof(m));
	for (; n - i >= sizeof(block); i += sizeof(block))
		*(block *)(p + i) ^= m;
	for (; i < n; i++)
		p[i] ^= wide[i % 4];
}
