/* For the tests of pqc_server_*: a server that runs in a thread, what it logs, and clients of it. */
#ifndef PQC_TESTS_LIB_SERVER_H
#define PQC_TESTS_LIB_SERVER_H

#include "lib_fixture.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TEST(f)	 cmocka_unit_test_setup_teardown(f, place_new, place_free)

/* ---- what a server logs ---- */

struct lines {
	pthread_mutex_t lock;
	pthread_cond_t more;
	json_t *all; /* objects */
	int broken;  /* a pipe that nobody reads, and each line writes to; -1: none */
};

static inline void lines_init(struct lines *l)
{
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->more, NULL);
	l->all = json_array();
	l->broken = -1;
}

static inline void lines_free(struct lines *l)
{
	json_decref(l->all);
	pthread_cond_destroy(&l->more);
	pthread_mutex_destroy(&l->lock);
}

/* struct pqc_server_options.log: every line is one JSON object, and nothing else. */
static inline void lines_take(void *arg, const char *line, size_t size)
{
	struct lines *l = arg;
	json_t *o = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(o) || memchr(line, '\n', size) != NULL)
		abort(); /* on the server's thread cmocka cannot fail */
	if (l->broken >= 0 && (write(l->broken, "x", 1) != -1 || errno != EPIPE))
		abort();
	pthread_mutex_lock(&l->lock);
	json_array_append_new(l->all, o);
	pthread_cond_broadcast(&l->more);
	pthread_mutex_unlock(&l->lock);
}

static inline const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static inline json_t *lines_nth(const struct lines *l, const char *event, unsigned n)
{
	for (size_t i = 0; i < json_array_size(l->all); i++) {
		json_t *o = json_array_get(l->all, i);

		if (strcmp(text_of(o, "event"), event) == 0 && --n == 0)
			return o;
	}
	return NULL;
}

/* Wait for the nth line of an event, from 1. Lives as long as l. */
static inline json_t *lines_await(struct lines *l, const char *event, unsigned n)
{
	json_t *o;

	pthread_mutex_lock(&l->lock);
	while ((o = lines_nth(l, event, n)) == NULL)
		pthread_cond_wait(&l->more, &l->lock);
	pthread_mutex_unlock(&l->lock);
	return o;
}

static inline unsigned lines_count(struct lines *l, const char *event)
{
	unsigned n = 0;

	pthread_mutex_lock(&l->lock);
	while (lines_nth(l, event, n + 1) != NULL)
		n++;
	pthread_mutex_unlock(&l->lock);
	return n;
}

/* ---- a server that runs ---- */

struct host {
	struct pqc_server *s;
	struct lines log;
	pthread_t thread;
	int rc;
	struct pqc_error e;
	char address[64];
};

static inline void *host_main(void *arg)
{
	struct host *h = arg;

	h->rc = pqc_server_run(h->s, &h->e);
	return NULL;
}

/* In the directory place/dir; settings: others, ended by NULL, or NULL. */
static inline void host_new(struct host *h, const char *dir, const char *const *settings)
{
	struct pqc_server_options o = PQC_INIT(o);
	const char *all[16] = {NULL};
	bool told_where = false;
	char data_dir[300];

	snprintf(data_dir, sizeof(data_dir), "data-dir=%s", at(dir));
	all[o.setting_count++] = data_dir;
	for (; settings != NULL && *settings != NULL; settings++) {
		told_where |= strncmp(*settings, "listen=", 7) == 0;
		all[o.setting_count++] = *settings;
	}
	if (!told_where)
		all[o.setting_count++] = "listen=127.0.0.1:0";
	lines_init(&h->log);
	o.settings = all;
	o.log = lines_take;
	o.arg = &h->log;
	ok(pqc_server_new(&o, &h->s, &e));
	assert_non_null(pqc_server_address(h->s, 0));
	snprintf(h->address, sizeof(h->address), "%s", pqc_server_address(h->s, 0));
}

static inline void host_run(struct host *h)
{
	assert_int_equal(pthread_create(&h->thread, NULL, host_main, h), 0);
}

static inline void host_start(struct host *h, const char *dir, const char *const *settings)
{
	host_new(h, dir, settings);
	host_run(h);
}

/* How pqc_server_run ended. */
static inline int host_join(struct host *h)
{
	assert_int_equal(pthread_join(h->thread, NULL), 0);
	assert_int_equal(h->e.code, h->rc);
	return h->rc;
}

static inline void host_free(struct host *h)
{
	pqc_server_free(h->s);
	lines_free(&h->log);
}

static inline void host_stop(struct host *h)
{
	pqc_server_stop(h->s);
	assert_int_equal(host_join(h), PQC_OK);
	host_free(h);
}

/* ---- clients ---- */

static inline struct pqc_identity *somebody(void)
{
	struct pqc_identity *id;

	ok(pqc_identity_generate(NULL, &id, &e));
	return id;
}

/* Let id do everything on the server of place/dir, now or at the next reload. */
static inline void allow(const char *dir, const struct pqc_identity *id, const char *rights)
{
	struct pqc_public *who;
	char path[300];

	snprintf(path, sizeof(path), "%s/authorized", at(dir));
	ok(pqc_identity_public(id, "a test", &who, &e));
	ok(pqc_access_allow(path, who, rights, NULL, &e));
	pqc_public_free(who);
}

/* One attempt; new servers are trusted. */
static inline struct pqc_client *client_of(const struct pqc_identity *id)
{
	struct pqc_client_options o = PQC_INIT(o);
	struct pqc_client *k;

	o.identity = id;
	o.known_servers = at("known_servers");
	o.state_dir = at("state");
	o.accept_new = 1;
	o.retry_ms = -1;
	ok(pqc_client_new(&o, &k, &e));
	return k;
}

static inline const char *url_of(const struct host *h, const char *name)
{
	static _Thread_local char url[256];

	snprintf(url, sizeof(url), "pqc://%s/%s", h->address, name);
	return url;
}

static inline int send_bytes(const struct pqc_client *k, const char *url, const void *p, size_t n,
			     struct pqc_error *why)
{
	struct pqc_source from = from_memory(p, n);
	struct pqc_transfer t = {.size = 0};
	int rc = pqc_send(k, url, &from, NULL, NULL, &t, why);

	pqc_transfer_free(&t);
	return rc;
}

/* The object must have these bytes. */
static inline int get_bytes(const struct pqc_client *k, const char *url, const void *p, size_t n,
			    struct pqc_error *why)
{
	uint8_t *got = calloc(1, n + 1);
	struct pqc_sink to = to_memory(got, n);
	struct pqc_transfer t = {.size = 0};
	int rc = pqc_get(k, url, &to, NULL, NULL, &t, why);

	if (rc == 0 && (t.size != n || memcmp(got, p, n) != 0))
		rc = PQC_EINTEGRITY;
	pqc_transfer_free(&t);
	free(got);
	return rc;
}

#endif
