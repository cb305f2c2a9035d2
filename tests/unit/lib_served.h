/* A real `pqc serve` for the tests of pqc.h, on a free port, in a directory of the test's own. */
#ifndef PQC_TESTS_LIB_SERVED_H
#define PQC_TESTS_LIB_SERVED_H

#include "lib_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct {
	pid_t pid;
	FILE *log;
	char address[64]; /* "127.0.0.1:PORT" */
	uint8_t id[PQC_ID_SIZE];
} served;

static inline const char *program(void)
{
	const char *p = getenv("PQC_BIN");

	if (p == NULL)
		skip(); /* meson test sets it */
	return p;
}

/* Run the program with these words, NULL at the end, and wait for it; its standard error goes to fd. */
static inline pid_t run_program(int err_fd, const char *const words[])
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (err_fd >= 0)
		dup2(err_fd, STDERR_FILENO);
	dup2(open("/dev/null", O_RDWR), STDOUT_FILENO);
	execv(program(), (char *const *)(uintptr_t)words);
	_exit(127);
}

static inline void allow(const char *pub, const char *rights)
{
	char data[300];
	const char *words[] = {"pqc",  "trust",	 "allow", "--data-dir", data, "--rights",
			       rights, "--path", "**",	  pub,		NULL};
	int status;

	snprintf(data, sizeof(data), "%s", at("data"));
	assert_int_equal(waitpid(run_program(-1, words), &status, 0) > 0 && status == 0, 1);
}

/* The next log line with this in it. */
static inline void wait_for(const char *text, char line[4096])
{
	do
		assert_non_null(fgets(line, 4096, served.log));
	while (strstr(line, text) == NULL);
}

/* Start it; more: an option and its value, or NULL. */
static inline void serve(const char *more, const char *value)
{
	char data[300], line[4096], *address;
	const char *words[] = {"pqc", "serve",	      "--listen", "127.0.0.1:0", "--data-dir",
			       data,  "--log-format", "json",	  more,		 value,
			       NULL};
	struct pqc_public *pub;
	int fds[2];

	snprintf(data, sizeof(data), "%s", at("data"));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	served.pid = run_program(fds[1], words);
	close(fds[1]);
	served.log = fdopen(fds[0], "r");
	assert_non_null(served.log);
	wait_for("\"server.listening\"", line);
	address = strstr(line, "127.0.0.1:");
	assert_non_null(address);
	snprintf(served.address, sizeof(served.address), "%.*s", (int)strcspn(address, "\""),
		 address);
	ok(pqc_public_load(at("data/identity.pub"), &pub, &e));
	memcpy(served.id, pqc_public_id(pub), PQC_ID_SIZE);
	pqc_public_free(pub);
}

static inline void serve_no_more(void)
{
	char line[4096];
	int status;

	/* Twice: where a test failed it need not wait for what that left open. */
	assert_int_equal(kill(served.pid, SIGTERM), 0);
	assert_int_equal(kill(served.pid, SIGTERM), 0);
	while (fgets(line, sizeof(line), served.log) != NULL)
		if (strstr(line, "Sanitizer") != NULL)
			fail_msg("%s", line);
	assert_int_equal(waitpid(served.pid, &status, 0), served.pid);
	fclose(served.log);
}

static inline const char *url(const char *name)
{
	static char text[4][200];
	static unsigned next;
	char *t = text[next++ % 4];

	snprintf(t, sizeof(text[0]), "pqc://%s/%s", served.address, name);
	return t;
}

/* ---- between client and server ---- */

/* Lets so many bytes of each connection through, each way, and no more. */
struct proxy {
	int listener, wake[2];
	pthread_t thread;
	char address[64];
	atomic_size_t up, down;
};

static inline int proxy_dial(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port =
					 htons((uint16_t)atoi(strrchr(served.address, ':') + 1))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* From one to the other, at most *left bytes; false at the end. */
static inline bool proxy_move(int from, int to, size_t *left)
{
	char block[65536];
	ssize_t n = recv(from, block, *left < sizeof(block) ? *left : sizeof(block), 0);

	if (n <= 0 || send(to, block, (size_t)n, MSG_NOSIGNAL) != n)
		return false;
	*left -= (size_t)n;
	return true;
}

/* One connection; false when the proxy is to end. */
static inline bool proxy_connection(struct proxy *x, int near, int far)
{
	size_t up = x->up, down = x->down;

	for (;;) {
		struct pollfd p[] = {{.fd = near, .events = up > 0 ? POLLIN : 0},
				     {.fd = far, .events = down > 0 ? POLLIN : 0},
				     {.fd = x->wake[0], .events = POLLIN}};

		assert_true(poll(p, 3, -1) > 0);
		if (p[2].revents != 0)
			return false;
		if (((p[0].revents & POLLIN) && !proxy_move(near, far, &up)) ||
		    ((p[1].revents & POLLIN) && !proxy_move(far, near, &down)) ||
		    ((p[0].revents | p[1].revents) & (POLLHUP | POLLERR)))
			return true;
	}
}

static inline void *proxy_run(void *arg)
{
	struct proxy *x = arg;
	bool on = true;

	while (on) {
		struct pollfd p[] = {{.fd = x->listener, .events = POLLIN},
				     {.fd = x->wake[0], .events = POLLIN}};
		int near, far;

		assert_true(poll(p, 2, -1) > 0);
		if (p[1].revents != 0)
			break;
		near = accept4(x->listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(near >= 0);
		far = proxy_dial();
		on = proxy_connection(x, near, far);
		close(near);
		close(far);
	}
	return NULL;
}

static inline void proxy_new(struct proxy *x)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	x->up = x->down = SIZE_MAX;
	x->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(x->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(x->listener, 8), 0);
	assert_int_equal(getsockname(x->listener, (struct sockaddr *)&a, &n), 0);
	snprintf(x->address, sizeof(x->address), "127.0.0.1:%u", ntohs(a.sin_port));
	assert_int_equal(pipe2(x->wake, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&x->thread, NULL, proxy_run, x), 0);
}

static inline void proxy_free(struct proxy *x)
{
	assert_int_equal(write(x->wake[1], "x", 1), 1);
	pthread_join(x->thread, NULL);
	close(x->listener);
	close(x->wake[0]);
	close(x->wake[1]);
}

#endif
