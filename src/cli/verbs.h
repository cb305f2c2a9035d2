/* The verbs, each from cmd_<verb>.c. */
#ifndef PQC_CLI_VERBS_H
#define PQC_CLI_VERBS_H

#include "cli/cli.h"

extern const struct verb verb_keygen, verb_send, verb_get, verb_list, verb_delete, verb_receipt,
	verb_ping, verb_seal, verb_open, verb_rewrap, verb_inspect, verb_serve, verb_top,
	verb_trust_list, verb_trust_add, verb_trust_remove, verb_trust_allow, verb_trust_deny,
	verb_trust_clients, verb_trust_role, verb_trust_roles, verb_help, verb_version;

#endif
