#include "base/sigpipe.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static bool is_pending(void)
{
	sigset_t set;

	return sigpending(&set) == 0 && sigismember(&set, SIGPIPE) == 1;
}

/*
 * The signal of a write goes to the thread that wrote (POSIX, write): blocked, it waits there until
 * it is taken away.
 */
void sigpipe_hold(struct sigpipe *s)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	s->blocked = sigismember(&before, SIGPIPE) == 1;
	s->pending = is_pending();
}

void sigpipe_release(const struct sigpipe *s)
{
	static const struct timespec now = {0, 0};
	const int errnum = errno;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	if (!s->pending && is_pending())
		while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
			;
	if (!s->blocked)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	errno = errnum;
}
