#include "pqc.h"

#include <string.h>

#include "base/err.h"

static const struct {
	const char *name, *meaning;
	int exit_code;
} errors[] = {
#define X(code, name, exit_code, help) {name, help, exit_code},
	PQC_ERROR_LIST(X)
#undef X
};

const char *pqc_version(void)
{
	return PQC_VERSION;
}

const char *pqc_error_meaning(const char *name)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].meaning;
	return NULL;
}

int pqc_error_exit_code(const char *name)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].exit_code;
	return -1;
}
