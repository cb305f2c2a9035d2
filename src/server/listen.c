/*
 * Where the server can be reached: the addresses for clients, and those for operators: one of
 * TCP if it is asked for, and a Unix socket in DIR/run, which only the server's own user can open.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "net/url.h"
#include "server/internal.h"

#define ACCEPT_ROUNDS 64

/* "1.2.3.4:5", "[::1]:5", "local" */
static void name_peer(const struct sockaddr_storage *a, socklen_t n, char peer[64])
{
	char host[48], port[8];

	if (a->ss_family == AF_UNIX)
		snprintf(peer, 64, "local");
	else if (getnameinfo((const struct sockaddr *)a, n, host, sizeof(host), port, sizeof(port),
			     NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(peer, 64, "unknown");
	else
		snprintf(peer, 64, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static bool has_room(const struct listener *l)
{
	const struct server *s = l->server;

	return l->monitor ? s->monitor_count < MONITOR_MAX : s->conn_count < s->o.max_connections;
}

static void on_accept(struct watch *w, unsigned ready)
{
	struct listener *l = (struct listener *)w;
	struct metrics *m = &l->server->metrics;
	char peer[64];

	(void)ready;
	for (int i = 0; i < ACCEPT_ROUNDS; i++) {
		struct sockaddr_storage a = {0};
		socklen_t n = sizeof(a);
		int fd = accept4(w->fd, (struct sockaddr *)&a, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (!l->monitor)
			metric_add(m, M_ACCEPTED, 1);
		if (!has_room(l)) {
			metric_add(m, M_REJECTED, 1);
			close(fd);
			continue;
		}
		name_peer(&a, n, peer);
		conn_accept(l, fd, peer);
	}
}

static int watch_listener(struct server *s, int fd, bool monitor)
{
	struct listener *l = &s->listen[s->listening++];

	l->server = s;
	l->monitor = monitor;
	l->w = (struct watch){.fd = fd, .events = LOOP_READ, .cb = on_accept};
	return loop_watch_add(s->loop, &l->w);
}

static int listen_at(struct server *s, const char *where, bool monitor, struct err *e)
{
	int fd, r = net_listen(where, s->o.reuse_port && !monitor, &fd,
			       s->listen[s->listening].address, e);

	if (r == 0 && (r = watch_listener(s, fd, monitor)) != 0)
		err_set(e, r, "cannot watch the listening socket");
	return r;
}

/* ---- the operators' socket: DIR/run/HOST-PID.sock, HOST-2-PID.sock of a second one in the process ---- */

/*
 * Sockets that servers of this host left when they were killed. Of those of other hosts that share the
 * directory nobody here can tell whether they live.
 */
static void remove_dead(const struct server *s, size_t host_len)
{
	int fd = openat(s->run_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(d)) != NULL)
		if (strncmp(entry->d_name, s->run_name, host_len) == 0 &&
		    !net_unix_alive(s->run_dir, entry->d_name))
			(void)unlinkat(s->run_dir, entry->d_name, 0);
	closedir(d);
}

/* One that nobody in this process has. */
static void choose_name(struct server *s, const char *host)
{
	const long pid = (long)getpid();

	snprintf(s->run_name, sizeof(s->run_name), "%s-%ld.sock", host, pid);
	for (unsigned n = 2; net_unix_alive(s->run_dir, s->run_name); n++)
		snprintf(s->run_name, sizeof(s->run_name), "%s-%u-%ld.sock", host, n, pid);
}

static int open_run_dir(struct server *s, struct err *e)
{
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/run", s->o.data_dir) >= (int)sizeof(path))
		return err_sys(e, ENAMETOOLONG, "%s", s->o.data_dir);
	if ((r = file_mkdirs(path, 0700, e)) != 0)
		return r;
	if ((s->run_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, errno, "%s", path);
	return 0;
}

static int listen_unix(struct server *s, struct err *e)
{
	char host[64] = "localhost";
	int fd, r;

	(void)gethostname(host, sizeof(host) - 1);
	if ((r = open_run_dir(s, e)) != 0)
		return r;
	/* A socket that has its name but does not listen yet looks dead: nobody may look just then. */
	(void)flock(s->run_dir, LOCK_EX);
	choose_name(s, host);
	remove_dead(s, strlen(host) + 1);
	r = net_listen_unix(s->run_dir, s->run_name, &fd, e);
	(void)flock(s->run_dir, LOCK_UN);
	return r != 0 ? r : watch_listener(s, fd, true);
}

/* ---- all of them ---- */

int server_listen(struct server *s, struct err *e)
{
	struct err why = {0};
	int r;

	for (size_t i = 0; i < s->o.listen_count; i++)
		if ((r = listen_at(s, s->o.listen[i], false, e)) != 0)
			return r;
	if (s->o.monitor != NULL && (r = listen_at(s, s->o.monitor, true, e)) != 0)
		return r;
	/* Some shared file systems have no sockets: transfers need none. */
	if (listen_unix(s, &why) != 0)
		log_event(s->log, LOG_WARN, "socket.failed",
			  (struct log_field[]){log_str("reason", why.msg), {0}});
	return 0;
}

/* Those who are in the backlog have connected already: they are taken, and told. */
void server_stop_listening(struct server *s, bool monitors)
{
	for (size_t i = 0; i < s->listening; i++) {
		struct watch *w = &s->listen[i].w;

		if (w->fd < 0 || (s->listen[i].monitor && !monitors))
			continue;
		on_accept(w, LOOP_READ);
		loop_watch_del(s->loop, w);
		close(w->fd);
		w->fd = -1;
	}
	if (monitors && s->run_dir >= 0) {
		(void)unlinkat(s->run_dir, s->run_name, 0);
		close(s->run_dir);
		s->run_dir = -1;
	}
}

const char *server_address(const struct server *s, size_t i)
{
	return i < s->o.listen_count && i < s->listening ? s->listen[i].address : NULL;
}

const char *server_monitor_address(const struct server *s)
{
	return s->o.monitor != NULL ? s->listen[s->o.listen_count].address : NULL;
}
