#include "server/access.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "server/access_impl.h"

struct access *access_new(void)
{
	struct access *a = calloc(1, sizeof(*a));

	if (a != NULL)
		buf_init(&a->text, ACCESS_FILE_MAX);
	return a;
}

int access_load(const char *path, struct access **out, struct err *e)
{
	struct access *a = access_new();
	int rc;

	if (a == NULL)
		return err_set(e, PQC_ENOMEM, "%s: no memory to read it", path);
	rc = file_slurp(AT_FDCWD, path, &a->text, e);
	if (rc == 0)
		rc = access_parse(a, path, e);
	if (rc != 0 && rc != PQC_ENOTFOUND) {
		access_free(a);
		return rc;
	}
	*out = a;
	return 0;
}

void access_free(struct access *a)
{
	if (a == NULL)
		return;
	free(a->client);
	free(a->role);
	free(a->line);
	buf_free(&a->text);
	free(a);
}

/* ---- asking ---- */

size_t access_lines_of(const struct access *a, const uint8_t id[ID_LEN], size_t *n)
{
	size_t low = 0, high = a->clients;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(a->client[mid]->id, id, ID_LEN) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	while (high < a->clients && memcmp(a->client[high]->id, id, ID_LEN) == 0)
		high++;
	*n = high - low;
	return low;
}

size_t access_lines_of_role(const struct access *a, const char *role, size_t *n)
{
	size_t low = 0, high = a->roles;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(a->role[mid]->role, role) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	while (high < a->roles && strcmp(a->role[high]->role, role) == 0)
		high++;
	*n = high - low;
	return low;
}

/* Which rights does this line, an identity's own or its role's, give on a name? */
static unsigned rights_on(const struct access *a, const uint8_t id[ID_LEN],
			  const struct access_line *l, const char *name)
{
	char filled[PATTERN_MAX + 1];
	const char *pattern = l->pattern;

	if (access_pattern_is_template(pattern)) {
		/* access_parse tried it */
		if (access_pattern_fill(pattern, id, access_name(a, id), filled, NULL) != 0)
			return 0;
		pattern = filled;
	}
	return access_match(pattern, name) ? l->bits : 0;
}

/* Which of the rights that are missing does an identity's line not give? */
static unsigned still_missing(const struct access *a, const struct access_line *l, unsigned missing,
			      const char *name)
{
	size_t first, n;

	if (l->role == NULL)
		return (l->bits & missing) != 0 ? missing & ~rights_on(a, l->id, l, name) : missing;
	first = access_lines_of_role(a, l->role, &n);
	for (size_t i = first; missing != 0 && i < first + n; i++)
		if ((a->role[i]->bits & missing) != 0)
			missing &= ~rights_on(a, l->id, a->role[i], name);
	return missing;
}

bool access_allows(const struct access *a, const uint8_t id[ID_LEN], unsigned right,
		   const char *name)
{
	size_t n, first = access_lines_of(a, id, &n);
	unsigned missing = right;

	for (size_t i = first; missing != 0 && i < first + n; i++)
		missing = still_missing(a, a->client[i], missing, name);
	return right != 0 && missing == 0;
}

bool access_knows(const struct access *a, const uint8_t id[ID_LEN])
{
	size_t n;

	access_lines_of(a, id, &n);
	return n > 0;
}

const char *access_name(const struct access *a, const uint8_t id[ID_LEN])
{
	size_t n, first = access_lines_of(a, id, &n);

	for (size_t i = first; i < first + n; i++)
		if (a->client[i]->name != NULL)
			return a->client[i]->name;
	return NULL;
}

uint64_t access_quota(const struct access *a, const uint8_t id[ID_LEN])
{
	size_t n, first = access_lines_of(a, id, &n);

	for (size_t i = first; i < first + n; i++)
		if (a->client[i]->quota != NULL)
			return a->client[i]->quota_bytes;
	return ACCESS_NO_QUOTA;
}

size_t access_count(const struct access *a)
{
	return a->clients;
}

const struct access_line *access_line(const struct access *a, size_t i)
{
	return i < a->n ? &a->line[i] : NULL;
}
