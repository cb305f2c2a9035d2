/* What the files of service.h share. */
#ifndef PQC_SERVER_SERVICE_IMPL_H
#define PQC_SERVER_SERVICE_IMPL_H

#include <limits.h>

#include "server/server.h"
#include "server/service.h"

struct service {
	struct service_opts o;
	struct server_opts server_opts;
	char access[PATH_MAX], identity_path[PATH_MAX], kek_path[PATH_MAX];
	const char **origins;
	struct identity *id;
	struct kek *kek;
	bool made_identity;
	struct server *server;
};

/* service_options.c: all that the options say, into s. */
int service_take_options(struct service *s, struct err *e) MUST_CHECK;

/* service_keys.c: several processes may do this at the same time. */
int service_load_keys(struct service *s, struct err *e) MUST_CHECK;

#endif
