/* The terminal: a screen beside the one of the shell, keys without Enter. */
#ifndef PQC_CLI_TOP_SCREEN_H
#define PQC_CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <termios.h>

#include "base/buf.h"

struct screen {
	struct termios saved;
	bool keys; /* standard input is the terminal too */
};

/* Standard output is a terminal that understands what screen_enter says to it. */
bool screen_possible(void);
/* Whether colors are wanted: not with NO_COLOR. */
bool screen_color(void);
/* Again after a stop, too. */
int screen_enter(struct screen *s, struct err *e) MUST_CHECK;
/* Everything as it was before. */
void screen_leave(struct screen *s);
void screen_size(unsigned *cols, unsigned *rows);
/* PQC_ECLOSED and others: the terminal is gone. */
int screen_put(const struct buf *b, struct err *e) MUST_CHECK;
/* What was typed since: true when 'q' was, or the terminal is gone. */
bool screen_quit(const struct screen *s);

#endif
