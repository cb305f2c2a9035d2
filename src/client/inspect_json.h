/* What inspect_file found, as JSON: the program prints it, the library hands it out. */
#ifndef PQC_CLIENT_INSPECT_JSON_H
#define PQC_CLIENT_INSPECT_JSON_H

#include "base/json.h"
#include "client/sealfile.h"

/* Begins j, {"event":"container", and puts in everything; who prints it closes and frees it. */
void inspect_json(const char *path, const struct inspect_result *r, struct json *j);

#endif
