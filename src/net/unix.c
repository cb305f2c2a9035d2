/* Unix sockets, named relative to a directory that is open: sun_path is too short for a path. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/url.h"

static int address(int dir, const char *name, struct sockaddr_un *a, struct err *e)
{
	int n;

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", dir, name);
	return n > 0 && (size_t)n < sizeof(a->sun_path)
		       ? 0
		       : err_set(e, PQC_ECONFIG, "the socket's name %s is too long", name);
}

int net_listen_unix(int dir, const char *name, int *fd, struct err *e)
{
	struct sockaddr_un a;
	int s, rc = address(dir, name, &a, e);

	if (rc != 0)
		return rc;
	if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
		return err_sys(e, errno, "socket %s", name);
	if ((s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return err_sys(e, errno, "socket %s", name);
	/* The mode of the socket before it has a name is the mode that the name gets. */
	if (fchmod(s, 0600) != 0 || bind(s, (const struct sockaddr *)&a, sizeof(a)) != 0 ||
	    fchmodat(dir, name, 0600, 0) != 0 || listen(s, SOMAXCONN) != 0) {
		rc = err_sys(e, errno, "socket %s", name);
		close(s);
		return rc;
	}
	*fd = s;
	return 0;
}

bool net_unix_alive(int dir, const char *name)
{
	struct sockaddr_un a;
	bool alive;
	int s;

	if (address(dir, name, &a, NULL) != 0)
		return false;
	if ((s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
		return true; /* not known: not dead */
	/* A full backlog is a sign of life too. */
	alive = connect(s, (const struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN;
	close(s);
	return alive;
}
