/* The options of serve: one for each thing that can be configured. */
#ifndef PQC_CLI_SERVE_OPTIONS_H
#define PQC_CLI_SERVE_OPTIONS_H

#include "cli/cli.h"

extern const struct opt serve_options[];

#endif
