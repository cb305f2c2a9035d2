/*
 * The server: one event loop, workers for the bytes of parts, workers for the disk. A process may
 * have several. Signals are the program's: it calls server_stop and server_reload.
 */
#ifndef PQC_SERVER_SERVER_H
#define PQC_SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "container/keyblock.h"
#include "crypto/identity.h"

#define SERVER_LISTEN_MAX 8

struct server_opts {
	const char *listen[SERVER_LISTEN_MAX]; /* "ADDR:PORT" */
	size_t listen_count;
	const char *data_dir;
	const char *access_file;	/* authorised identities */
	const char *tls_cert, *tls_key; /* both or neither */
	const char *const *origins;	/* NULL-terminated; NULL: none */
	unsigned threads;		/* workers for parts; 0: on the loop's thread */
	unsigned max_connections, max_transfers;
	bool metrics_off; /* record nothing */
	uint64_t
		buffer_memory; /* bytes of buffers that uploads share, beside one of their own each */
	uint64_t identity_created, kek_created; /* unix seconds; 0: not known */
	const char *otlp_endpoint, *otlp_ca;	/* of a trace collector; or NULL */
	const char *hook_url, *hook_command, *hook_secret, *hook_ca; /* server/hooks.h; or NULL */
	const char *hook_path; /* $PATH of the command; or NULL */
	uint64_t hook_ttl_ms;
	unsigned max_queued; /* requests that may wait for one of max_transfers */
	bool reuse_port;     /* other processes take their share of the connections */
	const char *
		monitor; /* "ADDR:PORT" for operators' plain HTTP; NULL: listen has what is not confidential */
	uint32_t max_part_size; /* bytes */
	uint64_t max_size;	/* plaintext bytes of one object */
	uint64_t min_free;	/* refuse new uploads that would leave less free */
	uint64_t direct_from;	/* bytes: larger uploads bypass the page cache */
	uint64_t upload_ttl_ms; /* unfinished uploads untouched for longer are removed */
	uint64_t drain_ms;	/* how long server_stop waits for transfers */
	/* server_reload: the owner re-reads its configuration into o; nonzero keeps the old. */
	int (*reload)(void *arg, struct server_opts *o, struct err *e);
	void *reload_arg;
};

struct server;

/*
 * id and kek are borrowed for the server's life. On success the sockets listen already:
 * server_address(i) tells where (port 0 is replaced by the real one).
 */
int server_new(struct server **out, const struct server_opts *o, const struct identity *id,
	       const struct kek *kek, struct logger *log, struct err *e) MUST_CHECK;
const char *server_address(const struct server *s, size_t i);
/* Of the monitor listener; NULL: none was asked for. */
const char *server_monitor_address(const struct server *s);
/* Serve until server_stop. 0: drained and stopped. PQC_ETEMP: the drain timeout ended transfers. */
int server_run(struct server *s, struct err *e) MUST_CHECK;
/*
 * Nobody new, and the end of server_run when the transfers have ended; called again, at once. Before
 * server_run too. Any thread, signal handlers too, as long as s lives.
 */
void server_stop(struct server *s);
/* Read the access file, the certificate and what o.reload reads again. As server_stop. */
void server_reload(struct server *s);
void server_free(struct server *s);

#endif
