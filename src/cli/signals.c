#include <signal.h>
#include <stddef.h>

#include "cli/cli.h"

/* What a signal handler can reach is static; this is the program's only such thing. */
static atomic_bool interrupted;

static void on_signal(int sig)
{
	(void)sig;
	atomic_store(&interrupted, true);
}

void signals_catch(void)
{
	/* Not restarted, so that a read from a terminal or pipe ends too. */
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

const atomic_bool *signals_flag(void)
{
	return &interrupted;
}
