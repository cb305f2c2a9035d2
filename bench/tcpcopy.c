/*
 * A file over plain TCP on the loopback interface, as fast as that goes: the limit that the
 * benchmark compares with. No checks, no encryption, nothing to imitate.
 *
 *     tcpcopy serve PORT FILE     write what each connection sends to FILE, anew each time
 *     tcpcopy send PORT FILE      send FILE; done when the server has written all of it
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1u << 20)

static int failed(const char *what)
{
	fprintf(stderr, "tcpcopy: %s: %s\n", what, strerror(errno));
	return -1;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Everything that the peer sends, into the file; then one byte back. */
static int receive(int connection, const char *path, char *buffer)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;
	int r = -1;

	if (fd < 0)
		return failed(path);
	while ((n = recv(connection, buffer, PIECE, 0)) > 0)
		if (write_all(fd, buffer, (size_t)n) != 0)
			goto out;
	r = n == 0 && write_all(connection, "k", 1) == 0 ? 0 : -1;
out:
	if (r != 0)
		failed(path);
	close(fd);
	return r;
}

static int serve(const struct sockaddr_in *address, const char *path)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, connection;
	char *buffer = malloc(PIECE);

	if (listener < 0 || buffer == NULL ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(listener, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
	    listen(listener, 1) != 0) {
		free(buffer);
		return failed("serve");
	}
	while ((connection = accept(listener, NULL, NULL)) >= 0) {
		receive(connection, path, buffer);
		close(connection);
	}
	free(buffer);
	return failed("accept");
}

static int transmit(const struct sockaddr_in *address, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), s = socket(AF_INET, SOCK_STREAM, 0);
	struct stat st;
	off_t at = 0;
	char done;

	if (fd < 0 || fstat(fd, &st) != 0)
		return failed(path);
	if (s < 0 || connect(s, (const struct sockaddr *)address, sizeof(*address)) != 0)
		return failed("connect");
	while (at < st.st_size)
		if (sendfile(s, fd, &at, (size_t)(st.st_size - at)) <= 0)
			return failed("sendfile");
	if (shutdown(s, SHUT_WR) != 0 || recv(s, &done, 1, 0) != 1)
		return failed("the server's answer");
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	signal(SIGPIPE, SIG_IGN);
	if (argc == 4) {
		address.sin_port = htons((uint16_t)atoi(argv[2]));
		if (strcmp(argv[1], "serve") == 0)
			return serve(&address, argv[3]) == 0 ? 0 : 1;
		if (strcmp(argv[1], "send") == 0)
			return transmit(&address, argv[3]) == 0 ? 0 : 1;
	}
	fputs("usage: tcpcopy serve|send PORT FILE\n", stderr);
	return 2;
}
