/* The options of a server: one for each thing that can be configured. */
#ifndef PQC_SERVER_SERVE_OPTIONS_H
#define PQC_SERVER_SERVE_OPTIONS_H

#include "config/opt.h"

extern const struct opt serve_options[];

#endif
