#include <string.h>

#include "base/err.h"

static const struct {
	const char *name, *meaning;
	int code, exit_code;
} errors[] = {
#define X(code, name, exit_code, help) {name, help, code, exit_code},
	PQC_ERROR_LIST(X)
#undef X
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

const char *pqc_version(void)
{
	return PQC_VERSION;
}

const char *pqc_error_name(int code)
{
	return err_name(code);
}

/* Its place in the list; ERRORS when there is none. */
static size_t find(const char *name)
{
	size_t i = 0;

	while (i < ERRORS && (name == NULL || strcmp(errors[i].name, name) != 0))
		i++;
	return i;
}

int pqc_error_code(const char *name)
{
	size_t i = find(name);

	return i < ERRORS ? errors[i].code : 1;
}

const char *pqc_error_meaning(const char *name)
{
	size_t i = find(name);

	return i < ERRORS ? errors[i].meaning : NULL;
}

int pqc_error_exit_code(const char *name)
{
	size_t i = find(name);

	return i < ERRORS ? errors[i].exit_code : -1;
}
