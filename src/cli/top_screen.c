#include "cli/top_screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"

/* The alternate screen; no cursor; long lines are cut by the terminal too. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

bool screen_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) == 1 && term != NULL && term[0] != '\0' &&
	       strcmp(term, "dumb") != 0;
}

bool screen_color(void)
{
	const char *no = getenv("NO_COLOR");

	return no == NULL || no[0] == '\0';
}

int screen_enter(struct screen *s, struct err *e)
{
	struct termios raw;

	s->keys = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &s->saved) == 0;
	if (s->keys) {
		raw = s->saved;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* the signals' keys stay */
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
			return err_sys(e, errno, "terminal");
	}
	return file_write(STDOUT_FILENO, ENTER, strlen(ENTER), e);
}

void screen_leave(struct screen *s)
{
	/* A terminal that is gone has nothing to restore. */
	int rc = file_write(STDOUT_FILENO, LEAVE, strlen(LEAVE), NULL);

	(void)rc;
	if (s->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->saved);
}

void screen_size(unsigned *cols, unsigned *rows)
{
	struct winsize w;
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0;

	*cols = known ? w.ws_col : 80;
	*rows = known ? w.ws_row : 24;
}

int screen_put(const struct buf *b, struct err *e)
{
	return file_write(STDOUT_FILENO, b->p, b->len, e);
}

bool screen_quit(const struct screen *s)
{
	char keys[64];
	ssize_t n = s->keys ? read(STDIN_FILENO, keys, sizeof(keys)) : -1;

	if (n < 0)
		return errno != EINTR && errno != EAGAIN;
	return n == 0 || memchr(keys, 'q', (size_t)n) != NULL ||
	       memchr(keys, 'Q', (size_t)n) != NULL;
}
