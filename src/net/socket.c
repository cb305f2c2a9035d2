/* Listening and connecting sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "net/url.h"

#define PORT_TEXT 6   /* "65535" */
#define CANCEL_MS 100 /* how soon a cancellation is noticed */

/* ---- listening ---- */

/* "ADDR:PORT" -> host ("" for all addresses) and port. */
static int split(const char *s, char host[URL_HOST_MAX + 1], char port[PORT_TEXT], struct err *e)
{
	const char *colon = strrchr(s, ':'), *p = s;
	uint64_t number;
	size_t n;

	if (!colon)
		goto bad;
	n = (size_t)(colon - s);
	if (n >= 2 && s[0] == '[' && s[n - 1] == ']') {
		p++;
		n -= 2;
		if (n == 0)
			goto bad;
	} else if (memchr(s, ':', n) || memchr(s, '[', n)) {
		goto bad;
	}
	colon++;
	if (n > URL_HOST_MAX || parse_u64(colon, 0, UINT16_MAX, &number) != 0)
		goto bad;
	memcpy(host, p, n);
	host[n] = '\0';
	snprintf(port, PORT_TEXT, "%u", (unsigned)(uint16_t)number);
	return 0;
bad:
	return err_set(e, PQC_ECONFIG,
		       "listening address '%s' is not ADDRESS:PORT, [IPV6]:PORT or :PORT", s);
}

static int say_listen(const char *what, int errnum, struct err *e)
{
	if (errnum == EADDRINUSE)
		return err_set(e, PQC_ECONFIG,
			       "address %s is in use by another program: stop that program, or "
			       "listen on another port",
			       what);
	if (errnum == EACCES || errnum == EPERM)
		return err_set(
			e, PQC_ECONFIG,
			"not permitted to listen on %s: use a port from 1024 up, or give the "
			"program CAP_NET_BIND_SERVICE",
			what);
	if (errnum == EADDRNOTAVAIL)
		return err_set(e, PQC_ECONFIG,
			       "cannot listen on %s: this machine does not have that address",
			       what);
	err_sys(e, errnum, "cannot listen on %s", what);
	if (e)
		e->code = PQC_ECONFIG;
	return PQC_ECONFIG;
}

/* A listening socket on a; *errnum says why not. */
static int open_listener(const struct addrinfo *a, bool shared, int *errnum)
{
	int fd =
		socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	int on = 1, off = 0;

	if (fd < 0)
		goto fail;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		goto fail;
	if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		goto fail;
	/* [::] serves IPv4, too, whatever the system's default is. */
	if (a->ai_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0)
		goto fail;
	if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0)
		goto fail;
	return fd;
fail:
	*errnum = errno;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The first of list in the given family (AF_UNSPEC: any) that can be listened on. */
static int listen_first(const struct addrinfo *list, int family, bool shared, int *errnum)
{
	for (; list; list = list->ai_next) {
		int fd;

		if (family != AF_UNSPEC && list->ai_family != family)
			continue;
		fd = open_listener(list, shared, errnum);
		if (fd >= 0 || *errnum == EADDRINUSE || *errnum == EACCES)
			return fd;
	}
	return -1;
}

/* The address that the socket has. */
static int name_bound(int fd, char bound[64])
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	char host[INET6_ADDRSTRLEN];

	if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		return errno;
	if (a.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(bound, 64, "[%s]:%u", host, (unsigned)ntohs(in6->sin6_port));
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&a;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(bound, 64, "%s:%u", host, (unsigned)ntohs(in->sin_port));
	}
	return 0;
}

int net_listen(const char *addr_port, bool shared, int *fd, char bound[64], struct err *e)
{
	char host[URL_HOST_MAX + 1], port[PORT_TEXT];
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int r, s, errnum = EADDRNOTAVAIL;

	if ((r = split(addr_port, host, port, e)) != 0)
		return r;
	r = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
	if (r != 0)
		return err_set(e, PQC_ECONFIG, "cannot listen on %s: %s", addr_port,
			       gai_strerror(r));
	/* For all addresses the IPv6 one comes first: it takes both. */
	s = host[0] ? -1 : listen_first(list, AF_INET6, shared, &errnum);
	if (s < 0 && errnum != EADDRINUSE && errnum != EACCES)
		s = listen_first(list, host[0] ? AF_UNSPEC : AF_INET, shared, &errnum);
	freeaddrinfo(list);
	if (s < 0)
		return say_listen(addr_port, errnum, e);
	if ((errnum = name_bound(s, bound)) != 0) {
		close(s);
		return say_listen(addr_port, errnum, e);
	}
	*fd = s;
	return 0;
}

/* ---- connecting ---- */

static int resolve(const struct url *u, struct addrinfo **list, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	char port[PORT_TEXT];
	int r;

	snprintf(port, sizeof(port), "%u", (unsigned)u->port);
	r = getaddrinfo(u->host, port, &hints, list);
	if (r == 0)
		return 0;
	if (r == EAI_MEMORY)
		return err_set(e, PQC_ENOMEM, "no memory to look up host '%s'", u->host);
	if (r == EAI_NONAME || r == EAI_NODATA)
		return err_set(e, PQC_ENOTFOUND, "no host '%s'", u->host);
	return err_set(e, PQC_ETEMP, "cannot look up host '%s': %s", u->host, gai_strerror(r));
}

/* How long a dial may take, and what ends it before. */
struct limit {
	uint64_t at;		   /* clock_ms */
	const atomic_bool *cancel; /* NULL: nothing */
};

static bool is_cancelled(const struct limit *l)
{
	return l->cancel != NULL && atomic_load(l->cancel);
}

/* Wait for the connection to be made. Returns an errno. */
static int wait_connected(int fd, const struct limit *l)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int errnum = 0, n;
	socklen_t len = sizeof(errnum);

	do {
		uint64_t now = clock_ms(), left = now < l->at ? l->at - now : 0;

		if (is_cancelled(l))
			return ECANCELED;
		if (left == 0)
			return ETIMEDOUT;
		n = poll(&p, 1, left < CANCEL_MS ? (int)left : CANCEL_MS);
	} while (n == 0 || (n < 0 && errno == EINTR));
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
		return errno;
	return errnum;
}

static int connect_to(const struct addrinfo *a, const struct limit *l, int *out)
{
	int fd =
		socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	int errnum = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
		errnum = errno;
	if (errnum == EINPROGRESS || errnum == EINTR)
		errnum = wait_connected(fd, l);
	if (errnum == 0)
		*out = fd;
	else
		close(fd);
	return errnum;
}

static int say_dial(const struct url *u, int errnum, struct err *e)
{
	int code = errnum == ETIMEDOUT ? PQC_ETIMEOUT : errnum == ENOMEM ? PQC_ENOMEM : PQC_ETEMP;

	if (errnum == ECANCELED)
		return err_set(e, PQC_EINTERRUPTED, "interrupted");
	if (errnum == ECONNREFUSED)
		return err_set(e, code, "nothing listens at %s (connection refused)", u->host_port);
	err_sys(e, errnum, "cannot connect to %s", u->host_port);
	if (e)
		e->code = code;
	return code;
}

int net_dial(const struct url *u, unsigned timeout_ms, const atomic_bool *cancel, int *fd,
	     struct err *e)
{
	uint64_t deadline = clock_ms() + timeout_ms;
	struct addrinfo *list = NULL, *a;
	unsigned left = 0;
	int r, errnum = EHOSTUNREACH;

	if ((r = resolve(u, &list, e)) != 0)
		return r;
	for (a = list; a; a = a->ai_next)
		left++;
	/* Each address gets its share of the time, so that a silent one does not take it all. */
	for (a = list; a; a = a->ai_next, left--) {
		uint64_t now = clock_ms();
		uint64_t rest = now < deadline ? deadline - now : 0;

		const struct limit l = {now + rest / left, cancel};

		if ((errnum = connect_to(a, &l, fd)) == 0 || errnum == ECANCELED)
			break;
	}
	freeaddrinfo(list);
	return errnum == 0 ? 0 : say_dial(u, errnum, e);
}
