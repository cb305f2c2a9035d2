/*
 * What `pqc top` knows of a server and shows: asked of every process (top_ask.c), read (top_read.c),
 * put together (top_sum.c), shown on a page (top_page.c) or as JSON (top_json.c). Texts that came
 * from a server are printable here: top_clean made them so.
 */
#ifndef PQC_CLI_TOP_H
#define PQC_CLI_TOP_H

#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "telemetry/catalog.h"

struct tls_ctx;

/* The larger and the smaller one; where one is NAN, the other. */
static inline double top_max(double a, double b)
{
	return a > b || isnan(b) ? a : b;
}
static inline double top_min(double a, double b)
{
	return a < b || isnan(b) ? a : b;
}

#define TOP_PROCESSES_MAX 64
#define TOP_ROWS_MAX	  65536 /* transfers, or waiting ones, of a process; more is an error */
#define TOP_CHECKS_MAX	  16
#define TOP_PROBLEMS_MAX  16
#define TOP_ID		  65
#define TOP_WORD	  32
#define TOP_TEXT	  256
#define TOP_UNKNOWN	  UINT64_MAX /* a number that was not told; a double is NAN then */

/* In order of gravity. */
enum top_status { TOP_HEALTHY, TOP_DEGRADED, TOP_UNHEALTHY, TOP_UNREACHABLE };
const char *top_status_name(enum top_status s);

enum top_resource { TOP_NOTHING, TOP_NETWORK, TOP_CRYPTO, TOP_DISK, TOP_CLIENT, TOP_RESOURCES };
extern const char *const top_resource_names[TOP_RESOURCES];

enum top_step { TOP_KEY_EXCHANGE, TOP_START, TOP_FSYNC, TOP_COMMIT, TOP_STEPS };
extern const char *const top_step_names[TOP_STEPS];

/* Of the last minute; NAN for what was not told. */
struct top_figures {
	double received, sent;		       /* bytes a second */
	double handshakes;		       /* a second */
	double done, failed, interrupted;      /* transfers a second */
	double p50[TOP_STEPS], p95[TOP_STEPS]; /* seconds */
	double busy[TOP_RESOURCES];	       /* 0 to 1 */
	double is_bottleneck[TOP_RESOURCES];   /* 1: this one */
};

struct top_check {
	char name[TOP_WORD], message[TOP_TEXT];
	enum top_status status;
};

struct top_transfer {
	char trace[TOP_ID], client[TOP_ID], direction[TOP_WORD], state[TOP_WORD], name[TOP_TEXT];
	uint64_t size, done, resumed; /* bytes; size may be TOP_UNKNOWN */
	double seconds, rate;	      /* bytes a second */
	uint64_t pid;
};

struct top_waiting {
	char trace[TOP_ID], client[TOP_ID], direction[TOP_WORD];
	uint64_t place;
	double waited, estimate; /* seconds; estimate NAN: not known */
	uint64_t pid;
};

/* One process, as it answered. */
struct top_process {
	char from[TOP_TEXT];	 /* "process 123", "process HOST-123", or the URL */
	char error[ERR_MSG_MAX]; /* why there is nothing else, or "" */
	bool gone;		 /* nobody listens: what a dead process left */
	enum top_status status;
	char reason[TOP_TEXT], version[TOP_WORD], suite[TOP_WORD], server_id[TOP_ID];
	uint64_t pid, connections, free_bytes, total_bytes, slots, waiting, active_count;
	double uptime;
	struct top_check check[TOP_CHECKS_MAX];
	size_t checks;
	bool has_figures, has_transfers; /* false: it does not tell them here */
	struct top_figures figures;
	struct top_transfer *active;
	struct top_waiting *queue;
	size_t actives, queued;
};

/* Something to do something about. */
struct top_problem {
	enum top_status status;
	char check[TOP_WORD]; /* "" where it is none */
	char text[ERR_MSG_MAX];
	const char *advice; /* constant */
};

struct top_snapshot {
	uint64_t time; /* seconds since 1970 */
	struct top_process *process;
	size_t processes;
	struct err error; /* why nobody could be asked; code 0: somebody was */

	/* ---- from here on by top_sum ---- */
	enum top_status status; /* the gravest */
	struct top_problem problem[TOP_PROBLEMS_MAX];
	size_t problems;
	struct top_figures figures;   /* rates are sums, times and shares those of the worst */
	enum top_resource bottleneck; /* of the process that moves most */
	size_t answered, tell_figures, tell_transfers; /* how many processes did */
	uint64_t connections, free_bytes, total_bytes, slots, busy, waiting;
	double uptime;	     /* of the youngest */
	double oldest_wait;  /* seconds; NAN: nobody waits */
	double seconds_left; /* until the disk is full at this rate; NAN: it does not fill */
	const struct top_transfer **active; /* the fastest first */
	const struct top_waiting **queue;   /* the longest first */
	size_t actives, queued;
};

struct top_opts {
	const char *url;    /* of a monitor listener, no '/' at its end; NULL: the sockets in dir */
	char dir[PATH_MAX]; /* data directory */
	struct tls_ctx *tls;
	unsigned timeout_ms; /* of an answer */
	const atomic_bool *cancel;
};

/* Ask everybody, at the same time. Who does not answer is in it with the reason: only PQC_ENOMEM fails. */
int top_take(const struct top_opts *o, struct top_snapshot **out, struct err *e) MUST_CHECK;
void top_free(struct top_snapshot *s);
/* Why the exit code is not 0, in e; 0 when all is healthy or degraded. */
int top_verdict(const struct top_snapshot *s, struct err *e) MUST_CHECK;

/*
 * The body of an answer into p. PQC_EPROTO names what is wrong; keys that are not there, or null, leave
 * what top_process_init set.
 */
void top_process_init(struct top_process *p);
int top_read_health(const void *body, size_t n, struct top_process *p, struct err *e) MUST_CHECK;
int top_read_figures(const void *body, size_t n, struct top_process *p, struct err *e) MUST_CHECK;
int top_read_transfers(const void *body, size_t n, struct top_process *p, struct err *e) MUST_CHECK;
/*
 * s[n] into out[size], cut to what fits; characters that steer a terminal or deceive become '?', and with
 * ascii all that are not ASCII.
 */
void top_clean(const char *s, size_t n, bool ascii, char *out, size_t size);

/* PQC_ENOMEM. */
int top_sum(struct top_snapshot *s, struct err *e) MUST_CHECK;

/* cols, rows 0: a plain text of any size; else a screen to be drawn over the one before. */
struct top_layout {
	unsigned cols, rows;
	bool color;
	uint64_t interval_ms; /* shown on a screen */
};
int top_page(const struct top_snapshot *s, const struct top_layout *l, struct buf *out,
	     struct err *e) MUST_CHECK;
/* One object, one line, on standard output. */
int top_print_json(const struct top_snapshot *s, struct err *e) MUST_CHECK;

#endif
