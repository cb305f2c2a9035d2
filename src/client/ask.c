/* The short requests: list, delete, receipt, ping. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/link.h"
#include "container/manifest.h"

/* Open a connection for one op, trying again as long as that may help. */
static int ask(struct link *l, struct call *c, enum msg_op op, struct msg *reply, struct err *e)
{
	struct msg m = {
		.type = MSG_REQUEST, .op = (uint8_t)op, .has = 1u << TAG_OP | 1u << TAG_NAME};
	int r;

	m.name = (struct span){c->u->name, strlen(c->u->name)};
	while ((r = link_open(l, c, &m, reply, e)) != 0) {
		link_close(l);
		if ((r = call_retry(c, r, e)) != 0)
			return r;
	}
	return 0;
}

static int each_entry(const struct span *entries, int (*each)(void *arg, const struct entry *en),
		      void *arg, struct err *e)
{
	struct rd r = rd_init(entries->p, entries->n);
	char name[4097];
	int rc = 0;

	while (rc == 0 && rd_left(&r) > 0) {
		struct entry en = {.name = name};
		const uint8_t *p;
		size_t n;

		en.size = rd_u64(&r);
		en.time = rd_u64(&r);
		en.owner = rd_bytes(&r, ID_LEN);
		if ((p = rd_block(&r, sizeof(name) - 1, &n)) == NULL)
			break;
		memcpy(name, p, n);
		name[n] = '\0';
		rc = each(arg, &en);
	}
	if (rc != 0)
		return rc;
	return rd_finish(&r) != 0 ? err_set(e, PQC_EPROTO, "the server's list is malformed") : 0;
}

/* The pages of a list, the first of which is in m. */
static int list_pages(struct link *l, struct msg *m, int (*each)(void *arg, const struct entry *en),
		      void *arg, struct err *e)
{
	struct msg next = {.type = MSG_NEXT, .has = 1u << TAG_CURSOR};
	uint8_t cursor[4096] = {0};
	size_t cursor_len = 0;
	int r;

	for (;;) {
		if (!msg_has(m, TAG_ENTRIES))
			return link_error(m, e);
		if ((r = each_entry(&m->entries, each, arg, e)) != 0 || !msg_has(m, TAG_CURSOR))
			return r;
		/* Cursors ascend: a list that does not get on would never end. */
		if (m->cursor.n < cursor_len ||
		    (m->cursor.n == cursor_len && memcmp(m->cursor.p, cursor, cursor_len) <= 0))
			return err_set(e, PQC_EPROTO, "the server's list does not get on");
		cursor_len = m->cursor.n;
		memcpy(cursor, m->cursor.p, cursor_len);
		next.cursor = (struct span){cursor, cursor_len};
		if ((r = link_queue(l, &next)) != 0 || (r = link_recv(l, m, e)) != 0)
			return r;
	}
}

int client_list(const struct client_opts *o, const struct url *u,
		int (*each)(void *arg, const struct entry *en), void *arg, struct err *e)
{
	struct call c;
	struct link l;
	struct msg m;
	int r;

	if ((r = call_begin(&c, o, u, e)) != 0)
		return r;
	if ((r = ask(&l, &c, OP_LIST, &m, e)) == 0) {
		r = list_pages(&l, &m, each, arg, e);
		link_close(&l);
	}
	return call_end(&c, r, e);
}

int client_delete(const struct client_opts *o, const struct url *u, struct err *e)
{
	struct call c;
	struct link l;
	struct msg m;
	int r;

	if ((r = call_begin(&c, o, u, e)) != 0)
		return r;
	if ((r = ask(&l, &c, OP_DELETE, &m, e)) == 0)
		link_close(&l);
	return call_end(&c, r, e);
}

/* The bundle of a reply, verified. */
static int take_bundle(const struct link *l, const struct msg *m, struct buf *pem, struct err *e)
{
	struct pqx_bundle *b;
	int r;

	if (!msg_has(m, TAG_HEADER) || !msg_has(m, TAG_MANIFEST) || !msg_has(m, TAG_RECEIPT))
		return err_set(e, PQC_EPROTO, "the server's answer holds no receipt");
	if ((b = malloc(sizeof(*b))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((r = pqx_receipt_bundle_encode(m->header.p, &m->manifest, &m->receipt, pem)) == 0 &&
	    (r = pqx_receipt_bundle_check(pem->p, pem->len, b, e)) == 0 &&
	    memcmp(b->receipt.server_id, l->server_id, ID_LEN) != 0)
		r = err_set(e, PQC_EINTEGRITY, "the receipt is another server's");
	free(b);
	return r;
}

int client_receipt(const struct client_opts *o, const struct url *u, struct buf *pem, struct err *e)
{
	struct call c;
	struct link l;
	struct msg m;
	int r;

	if ((r = call_begin(&c, o, u, e)) != 0)
		return r;
	if ((r = ask(&l, &c, OP_RECEIPT, &m, e)) == 0) {
		r = take_bundle(&l, &m, pem, e);
		link_close(&l);
	}
	return call_end(&c, r, e);
}

struct ping {
	struct call call;
	struct client_opts o;
	struct identity *mine;
};

/*
 * Greet with the identity there is and, when the server's suite is another, with one of that suite
 * made for the occasion: a ping identifies nobody.
 */
static int greet_any(struct ping *p, struct link *l, bool *pinned, struct err *e)
{
	static const uint8_t none[ID_LEN];
	unsigned suite = identity_public(p->o.identity)->suite->id;
	int r = link_greet(l, &p->call, pinned, e);

	if (r != PQC_EREFUSED || memcmp(l->server_id, none, ID_LEN) != 0)
		return r;
	link_close(l);
	suite = suite == SUITE_KYBER768 ? SUITE_KYBER1024 : SUITE_KYBER768;
	if ((r = identity_generate(suite_by_id(suite), &p->mine)) != 0)
		return err_set(e, r, "cannot make a key");
	p->o.identity = p->mine;
	return link_greet(l, &p->call, pinned, e);
}

int client_ping(const struct client_opts *o, const struct url *u, struct ping_result *p,
		struct err *e)
{
	struct msg m = {.type = MSG_REQUEST, .op = OP_LIST, .has = 1u << TAG_OP | 1u << TAG_NAME};
	struct buf unused = BUF_INIT(MSG_MAX);
	struct ping ping = {.o = *o};
	uint64_t began = clock_ms();
	const char *group;
	struct link l = {0};
	int r;

	memset(p, 0, sizeof(*p));
	r = call_begin(&ping.call, &ping.o, u, e);
	if (r == 0)
		r = greet_any(&ping, &l, &p->pinned, e);
	memcpy(p->server_id, l.server_id, ID_LEN);
	/* Making M3 checks the bundle; sending it would ask for something. */
	if (r == 0 || r == PQC_EUNKNOWN_SERVER) {
		struct err why = {0};
		int ok = hs_client_request(l.hs, &m, clock_unix(), &unused, &why);

		if (ok != 0) {
			*e = why;
			r = ok;
		}
		p->suite = hs_client_server_suite(l.hs);
		if ((group = stream_tls_group(l.st)) != NULL)
			strncpy(p->tls_group, group, sizeof(p->tls_group) - 1);
	}
	p->seconds = (double)(clock_ms() - began) / 1000;
	buf_free(&unused);
	link_close(&l);
	identity_free(ping.mine);
	return r;
}
