/* An authenticated request: check the right to it and start its op. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "server/internal.h"

/* Count it and log it. The client is told one thing for every reason. */
static void refuse(struct conn *c, const char *name)
{
	bool known = access_knows(c->srv->access, c->client_id);

	metric_add(&c->srv->metrics, M_AUTH_FAILED, 1);
	metric_add(&c->srv->metrics, known ? M_REFUSED_RIGHT : M_REFUSED_IDENTITY, 1);
	log_event(c->srv->log, LOG_WARN, "request.refused",
		  (struct log_field[]){
			  log_trace(c),
			  log_id("client_id", c->client_id),
			  log_str("peer", c->peer),
			  log_name("name", name),
			  log_str("reason", known ? "no right to this name" : "unknown identity"),
			  {0}});
}

bool request_allowed(struct conn *c, unsigned right, const char *name)
{
	if (access_allows(c->srv->access, c->client_id, right, name))
		return true;
	refuse(c, name);
	return false;
}

int request_dek(const struct server *s, const struct pqx_header *h, struct span keyblock,
		struct pqx_keys *k)
{
	struct keyblock *kb = NULL;
	size_t used;
	int r = keyblock_decode(h, keyblock.p, keyblock.n, &kb, &used);

	if (r == 0)
		r = keyblock_open_kek(kb, h, s->kek, k);
	keyblock_free(kb);
	return r;
}

/* ---- requests about one object: get, stat, receipt ---- */

struct lookup {
	struct task t;
	uint8_t op, file_id[32];
	bool insist; /* on file_id */
	char name[NAME_MAX_LEN + 1];
	struct object *o;
};

static void lookup_run(struct task *t)
{
	struct lookup *l = (struct lookup *)t;

	t->rc = object_open(t->srv->store, l->name, &l->o, &t->e);
	if (t->rc == 0 && l->insist && memcmp(object_info(l->o)->file_id, l->file_id, 32) != 0)
		t->rc = PQC_ENOTFOUND;
}

static int answer_stat(struct conn *c, const struct lookup *l)
{
	const struct pqx_header *h = object_header(l->o);
	struct msg m = {.type = MSG_REPLY, .status = ST_ACCEPTED};

	m.size = object_info(l->o)->size;
	m.header = (struct span){h->raw, PQX_HEADER_LEN};
	m.manifest = object_manifest(l->o);
	m.receipt = object_receipt(l->o);
	m.has = 1u << TAG_STATUS | 1u << TAG_SIZE | 1u << TAG_HEADER | 1u << TAG_MANIFEST;
	if (l->op == OP_RECEIPT)
		m.has |= 1u << TAG_RECEIPT;
	return conn_reply(c, &m);
}

static void lookup_done(struct task *t, struct conn *c)
{
	struct lookup *l = (struct lookup *)t;
	int r = t->rc;

	if (c == NULL)
		goto out;
	if (r == 0 && l->op == OP_RECEIPT &&
	    memcmp(object_info(l->o)->owner, c->client_id, ID_LEN) != 0)
		r = PQC_ENOTFOUND;
	if (r == PQC_ENOTFOUND) {
		conn_fail(c, PQC_EREFUSED, "not found or not allowed");
	} else if (r != 0) {
		metric_add(&c->srv->metrics, M_STORE_ERRORS, 1);
		log_event(c->srv->log, LOG_ERROR, "store.failed",
			  (struct log_field[]){
				  log_name("name", l->name), log_str("reason", t->e.msg), {0}});
		conn_fail(c, PQC_EFAIL, "the server could not read the object");
	} else if (l->op == OP_GET) {
		get_start(c, l->o);
		l->o = NULL; /* transferred */
	} else if ((r = answer_stat(c, l)) != 0) {
		conn_fail(c, r, err_meaning(r));
	} else {
		conn_finish(c);
	}
out:
	object_free(l->o);
	free(l);
}

static void lookup_start(struct conn *c, const struct msg *m, const char *name)
{
	struct lookup *l;

	if ((l = calloc(1, sizeof(*l))) == NULL) {
		conn_fail(c, PQC_ENOMEM, "out of memory");
		return;
	}
	l->op = m->op;
	memcpy(l->name, name, strlen(name) + 1);
	if ((l->insist = msg_has(m, TAG_FILE_ID)))
		memcpy(l->file_id, m->file_id.p, 32);
	l->t.run = lookup_run;
	l->t.done = lookup_done;
	if (l->op == OP_GET) {
		transfer_begin(c, false, m, UINT64_MAX);
		admit(c, &l->t, NULL);
	} else {
		task_start(c, &l->t);
	}
}

/* ---- delete ---- */

struct deletion {
	struct task t;
	uint8_t owner[ID_LEN];
	char name[NAME_MAX_LEN + 1];
};

static void delete_run(struct task *t)
{
	struct deletion *d = (struct deletion *)t;

	t->rc = store_delete(t->srv->store, d->name, d->owner, &t->e);
}

static void delete_done(struct task *t, struct conn *c)
{
	struct deletion *d = (struct deletion *)t;
	struct msg m = {.type = MSG_REPLY, .status = ST_ACCEPTED, .has = 1u << TAG_STATUS};

	if (t->rc == 0) {
		server_empty_trash(t->srv);
		log_event(t->srv->log, LOG_INFO, "delete.done",
			  (struct log_field[]){
				  log_name("name", d->name), log_id("client_id", d->owner), {0}});
	}
	if (c != NULL && t->rc == 0 && conn_reply(c, &m) == 0)
		conn_finish(c);
	else if (c != NULL && (t->rc == PQC_ENOTFOUND || t->rc == PQC_EREFUSED))
		conn_fail(c, PQC_EREFUSED, "not found or not allowed");
	else if (c != NULL)
		conn_fail(c, PQC_EFAIL, "the server could not delete the object");
	free(d);
}

static void delete_start(struct conn *c, const char *name)
{
	struct deletion *d = calloc(1, sizeof(*d));

	if (d == NULL) {
		conn_fail(c, PQC_ENOMEM, "out of memory");
		return;
	}
	memcpy(d->owner, c->client_id, ID_LEN);
	memcpy(d->name, name, strlen(name) + 1);
	d->t.run = delete_run;
	d->t.done = delete_done;
	task_start(c, &d->t);
}

/* ---- list ---- */

struct listing {
	struct task t;
	char prefix[NAME_MAX_LEN + 1], cursor[65];
	struct buf entries; /* a page, before rights */
	bool more;
};

static int list_each(void *arg, const struct object_info *i)
{
	struct listing *l = arg;
	size_t n = strlen(i->name);

	if (strncmp(i->name, l->prefix, strlen(l->prefix)) != 0)
		return 0;
	if (l->entries.len + 52 + n > LIST_PAGE)
		return 1;
	buf_put_u64(&l->entries, i->size);
	buf_put_u64(&l->entries, i->time);
	buf_put(&l->entries, i->owner, ID_LEN);
	buf_put_block(&l->entries, i->name, n);
	return 0;
}

static void list_run(struct task *t)
{
	struct listing *l = (struct listing *)t;

	t->rc = store_list(t->srv->store, l->cursor, list_each, l, &l->more, &t->e);
	if (t->rc == 0)
		t->rc = buf_error(&l->entries);
}

/* Keep the entries whose names the client may list or get. */
static int list_filter(const struct conn *c, const struct buf *all, struct buf *out)
{
	struct rd r = rd_init(all->p, all->len);
	char name[NAME_MAX_LEN + 1];

	while (rd_left(&r) > 0) {
		const uint8_t *start = r.p;
		size_t n;
		const uint8_t *p;

		rd_bytes(&r, 48);
		if ((p = rd_block(&r, NAME_MAX_LEN, &n)) == NULL)
			break;
		memcpy(name, p, n);
		name[n] = '\0';
		if (access_allows(c->srv->access, c->client_id, RIGHT_LIST, name) ||
		    access_allows(c->srv->access, c->client_id, RIGHT_GET, name))
			buf_put(out, start, (size_t)(r.p - start));
	}
	return buf_error(out);
}

static int list_answer(struct conn *c, struct listing *l, const struct buf *entries)
{
	bool first = c->session == NULL;
	struct msg m = {.type = first ? MSG_REPLY : MSG_ENTRIES, .status = ST_ACCEPTED};

	m.entries = (struct span){entries->p, entries->len};
	m.cursor = (struct span){l->cursor, strlen(l->cursor)};
	m.has = (first ? 1u << TAG_STATUS : 0) | 1u << TAG_ENTRIES |
		(l->more ? 1u << TAG_CURSOR : 0);
	return first ? conn_reply(c, &m) : conn_send(c, &m);
}

static void list_done(struct task *t, struct conn *c)
{
	struct listing *l = (struct listing *)t;
	struct buf entries = BUF_INIT(LIST_PAGE);
	int r = t->rc;

	if (c != NULL) {
		if (r == 0)
			r = list_filter(c, &l->entries, &entries);
		if (r == 0)
			r = list_answer(c, l, &entries);
		if (r != 0)
			conn_fail(c, PQC_EFAIL, "the server could not list");
		else if (!l->more)
			conn_finish(c);
	}
	buf_free(&entries);
	buf_free(&l->entries);
	if (c == NULL)
		free(l);
}

static void list_detach(struct conn *c)
{
	if (c->task == NULL)
		free(c->state);
}

static int list_control(struct conn *c, const struct msg *m, struct err *e);
static const struct op list_op = {.control = list_control, .detach = list_detach};

/* One listing serves all pages of its connection. */
static void list_start(struct conn *c, const char *prefix, const struct span *cursor)
{
	struct listing *l;

	if (cursor->n != 0 && cursor->n != sizeof(l->cursor) - 1) {
		conn_fail(c, PQC_EPROTO, "that cursor is not one of this server");
		return;
	}
	if ((l = calloc(1, sizeof(*l))) == NULL) {
		conn_fail(c, PQC_ENOMEM, "out of memory");
		return;
	}
	buf_init(&l->entries, LIST_PAGE);
	memcpy(l->prefix, prefix, strlen(prefix) + 1);
	memcpy(l->cursor, cursor->p, cursor->n);
	l->t.run = list_run;
	l->t.done = list_done;
	c->op = &list_op;
	c->state = l;
	task_start(c, &l->t);
}

static int list_control(struct conn *c, const struct msg *m, struct err *e)
{
	struct listing *l = c->state;

	if (m->type != MSG_NEXT || c->task != NULL || m->cursor.n != 64 ||
	    memcmp(m->cursor.p, l->cursor, 64) != 0)
		return err_set(e, PQC_EPROTO,
			       "only MORE with the cursor of the last page is expected");
	task_start(c, &l->t);
	return 0;
}

void request_start(struct conn *c, const struct msg *m)
{
	static const unsigned rights[] = {
		[OP_PUT] = RIGHT_PUT,	    [OP_GET] = RIGHT_GET,     [OP_STAT] = RIGHT_GET,
		[OP_DELETE] = RIGHT_DELETE, [OP_RECEIPT] = RIGHT_GET,
	};
	struct err e = {0};
	char name[NAME_MAX_LEN + 1];
	int r = 0;

	memcpy(name, m->name.p, m->name.n);
	name[m->name.n] = '\0';
	if (m->op == OP_LIST) {
		/* Who is known sees what it has a right to, which may be nothing. */
		if (!access_knows(c->srv->access, c->client_id)) {
			refuse(c, name);
			r = PQC_EREFUSED;
		}
	} else if ((r = name_check(name, m->name.n, &e)) != 0) {
		conn_fail(c, r, e.msg);
		return;
	} else {
		r = request_allowed(c, rights[m->op], name) ? 0 : PQC_EREFUSED;
	}
	if (r != 0)
		conn_fail(c, PQC_EREFUSED, "not found or not allowed");
	else if (m->op == OP_PUT)
		put_start(c, m);
	else if (m->op == OP_DELETE)
		delete_start(c, name);
	else if (m->op == OP_LIST)
		list_start(c, name, msg_has(m, TAG_CURSOR) ? &m->cursor : &(struct span){"", 0});
	else
		lookup_start(c, m, name);
}
