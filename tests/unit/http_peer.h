/* The other end of HTTP requests: a thread that serves one connection after the other as it is told. */
#ifndef PQC_TESTS_HTTP_PEER_H
#define PQC_TESTS_HTTP_PEER_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/url.h"

#define PEER_REQUEST_MAX (4u << 20)

struct peer {
	void (*serve)(struct peer *p, int fd); /* set before peer_start; the caller closes fd */
	const char *reply;		       /* for peer_answer and whoever wants it */
	size_t reply_len;		       /* 0: a C string */
	unsigned served; /* fixed while a connection is served: how many before */
	int listener, stop;
	char url[64];
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t news;
	char *request; /* the last one, NUL-terminated */
	size_t request_len;
	unsigned requests;
};

/* Until told to stop, or the peer has gone. */
static inline void peer_hang(struct peer *p, int fd)
{
	struct pollfd w[2] = {{.fd = p->stop, .events = POLLIN}, {.fd = fd, .events = POLLRDHUP}};

	poll(w, 2, -1);
}

/* Wait ms; false: told to stop, or the peer has gone. */
static inline bool peer_rest(struct peer *p, int fd, int ms)
{
	struct pollfd w[2] = {{.fd = p->stop, .events = POLLIN}, {.fd = fd, .events = POLLRDHUP}};

	return poll(w, 2, ms) == 0;
}

/* false: not all of it. */
static inline bool peer_say(int fd, const void *s, size_t n)
{
	for (const char *c = s; n > 0;) {
		ssize_t got = send(fd, c, n, MSG_NOSIGNAL);

		if (got <= 0)
			return false;
		c += got;
		n -= (size_t)got;
	}
	return true;
}

static inline bool peer_readable(struct peer *p, int fd)
{
	struct pollfd w[2] = {{.fd = p->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	return poll(w, 2, -1) > 0 && !(w[0].revents & POLLIN);
}

/* Is the request in text[n] whole? */
static inline bool peer_whole(const char *text, size_t n)
{
	const char *end = strstr(text, "\r\n\r\n"), *length;

	if (!end)
		return false;
	length = strcasestr(text, "\r\nContent-Length:");
	if (!length || length > end)
		return true;
	return n - (size_t)(end + 4 - text) >= strtoul(length + 17, NULL, 10);
}

/* Read a request into p->request. false: none came. */
static inline bool peer_listen(struct peer *p, int fd)
{
	char *text = calloc(1, PEER_REQUEST_MAX + 1);
	size_t n = 0;
	bool whole = false;

	while (text && n < PEER_REQUEST_MAX && !whole && peer_readable(p, fd)) {
		ssize_t got = recv(fd, text + n, PEER_REQUEST_MAX - n, 0);

		if (got <= 0)
			break;
		n += (size_t)got;
		whole = peer_whole(text, n);
	}
	if (!whole) {
		free(text);
		return false;
	}
	pthread_mutex_lock(&p->lock);
	free(p->request);
	p->request = text;
	p->request_len = n;
	p->requests++;
	pthread_cond_broadcast(&p->news);
	pthread_mutex_unlock(&p->lock);
	return true;
}

static inline void peer_answer(struct peer *p, int fd)
{
	if (peer_listen(p, fd))
		peer_say(fd, p->reply, p->reply_len ? p->reply_len : strlen(p->reply));
}

/* Until n requests came, in all; false: not within ms. */
static inline bool peer_await(struct peer *p, unsigned n, unsigned ms)
{
	struct timespec t;
	bool there;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&p->lock);
	while (p->requests < n && pthread_cond_timedwait(&p->news, &p->lock, &t) == 0)
		;
	there = p->requests >= n;
	pthread_mutex_unlock(&p->lock);
	return there;
}

static inline void *peer_run(void *arg)
{
	struct peer *p = arg;

	while (peer_readable(p, p->listener)) {
		int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		p->serve(p, fd);
		p->served++;
		close(fd);
	}
	return NULL;
}

/* On p->listener, or a port of the loopback when that is 0; p->url tells which. */
static inline void peer_start(struct peer *p)
{
	char bound[64] = "";
	struct err e = {0};

	if (p->listener == 0 && net_listen("127.0.0.1:0", false, &p->listener, bound, &e) != 0)
		abort();
	snprintf(p->url, sizeof(p->url), "http://%.50s", bound);
	p->stop = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->news, NULL);
	if (p->stop < 0 || pthread_create(&p->thread, NULL, peer_run, p) != 0)
		abort();
}

static inline void peer_stop(struct peer *p)
{
	uint64_t one = 1;

	if (write(p->stop, &one, sizeof(one)) != sizeof(one))
		abort();
	pthread_join(p->thread, NULL);
	close(p->listener);
	close(p->stop);
	pthread_cond_destroy(&p->news);
	pthread_mutex_destroy(&p->lock);
	free(p->request);
	memset(p, 0, sizeof(*p));
}

#endif
