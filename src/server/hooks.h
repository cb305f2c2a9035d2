/*
 * What happened, told to others: a webhook, a command, or both. An event is a file in
 * DIR/events/ until it is delivered; any process of the directory may deliver it, now or after
 * a restart. Each is delivered at least once and normally once: a process killed between
 * the delivery and the removal of the file delivers again, with the same id.
 *
 * Tried again after 1 s, then after as long as it has waited so far, at most 1 h; given up, and moved to
 * DIR/events/failed/ (which nobody empties), when it is older than the limit or the receiver
 * answers 410.
 */
#ifndef PQC_SERVER_HOOKS_H
#define PQC_SERVER_HOOKS_H

#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

#define HOOKS_EVENT_MAX	  65536	 /* bytes of one event */
#define HOOKS_PENDING_MAX 100000 /* events of a kind */

struct hooks;

struct hooks_opts {
	const char *data_dir;
	/*
	 * http(s)://...; or NULL. Requests follow the Standard Webhooks specification:
	 * POST, signed with the secret, any 2xx is success. Redirections are not followed.
	 */
	const char *url;
	const char *secret_file; /* for url: "whsec_" and base64 of 24 to 64 bytes, mode 0600 */
	const char *ca_file;	 /* PEM, for https; NULL: the system's */
	/*
	 * Absolute path of a program; or NULL. Run with the event as its standard input, PATH, PQC_EVENT (the
	 * type) and PQC_EVENT_ID as its environment, in a process group of its own, which is killed
	 * after the timeout. Exit status 0 is success; standard error is for the log.
	 */
	const char *command;
	const char *search_path; /* its PATH; NULL: /usr/bin:/bin */
	uint64_t ttl_ms;	 /* how long to try */
	unsigned timeout_ms;	 /* of one attempt */
	struct logger *log;	 /* borrowed; event.delivered, event.failed */
};

/*
 * Starts to deliver, with threads of its own. The options are copied. Neither url nor command: *out is NULL.
 * PQC_ECONFIG for options that cannot work, and for a command where the process ignores SIGCHLD:
 * how it ends would never be known. PQC_EREFUSED for a secret that others may read.
 */
int hooks_new(struct hooks **out, const struct hooks_opts *o, struct err *e) MUST_CHECK;
/*
 * An event: type of small letters and dots, data a JSON object. Durable when it returns 0;
 * waits for the disk. Any thread. When it fails and there is both a url and a command, one of them may be
 * told all the same. PQC_EQUOTA: no space, or HOOKS_PENDING_MAX are waiting. h NULL: nothing.
 */
int hooks_post(struct hooks *h, const char *type, const char *json_object,
	       struct err *e) MUST_CHECK;

struct hooks_counts {
	uint64_t delivered, retried, given_up; /* by this process */
	uint64_t pending;		       /* in the directory, when last looked at */
};
/* Any thread. h NULL: zeros. */
void hooks_counts(const struct hooks *h, struct hooks_counts *out);
/* Waits up to 2 s for what is under way, then breaks it off: it will be delivered later. NULL is fine. */
void hooks_free(struct hooks *h);

#endif
