#include "server/kek_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "crypto/secmem.h"

#define KEK_FILE_MAX 4096
#define MAGIC	     "pqc-kek-v1"
#define BLANKS	     " \t\r"

static int parse_line(char *line, struct kek *k)
{
	char *rest, *word[5] = {NULL};
	uint64_t version;

	for (size_t i = 0; i < 5; i++)
		if ((word[i] = strtok_r(i == 0 ? line : NULL, BLANKS, &rest)) == NULL)
			break;
	if (word[3] == NULL || word[4] != NULL || strcmp(word[0], MAGIC) != 0 ||
	    hex_decode(word[1], k->id, KEK_ID_LEN) != 0 ||
	    parse_u64(word[2], 1, UINT32_MAX, &version) != 0 ||
	    hex_decode(word[3], k->key, KEY_LEN) != 0)
		return PQC_ECONFIG;
	k->version = (uint32_t)version;
	return 0;
}

/* Nothing of the text is repeated in a message: it is a key. */
static int parse(const char *path, char *text, struct kek *k, struct err *e)
{
	unsigned n = 0, found = 0;
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		n++;
		line += strspn(line, BLANKS);
		if (*line == '\0' || *line == '#')
			continue;
		if (found != 0)
			return err_set(e, PQC_ECONFIG, "%s:%u: there is a key in line %u already",
				       path, n, found);
		if (parse_line(line, k) != 0)
			return err_set(e, PQC_ECONFIG,
				       "%s:%u: expected '" MAGIC " ID VERSION KEY': 32 hex digits, "
				       "a number, 64 hex digits",
				       path, n);
		found = n;
	}
	return found != 0 ? 0 : err_set(e, PQC_ECONFIG, "%s: there is no key in it", path);
}

static int check_mode(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return err_sys(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, PQC_EREFUSED, "%s: not a regular file", path);
	if ((st.st_mode & 077) != 0)
		return err_set(e, PQC_EREFUSED,
			       "%s: mode %04o lets others read this key; run: chmod 600 %s", path,
			       (unsigned)st.st_mode & 07777, path);
	return 0;
}

int kek_load(const char *path, struct kek *k, struct err *e)
{
	struct buf b = BUF_INIT(KEK_FILE_MAX);
	int rc;

	if ((rc = check_mode(path, e)) != 0 || (rc = file_slurp(AT_FDCWD, path, &b, e)) != 0)
		goto out;
	if (buf_cstr(&b) == NULL)
		rc = err_set(e, PQC_ENOMEM, "out of memory");
	else if (memchr(b.p, '\0', b.len) != NULL)
		rc = err_set(e, PQC_ECONFIG, "%s: expected text, found a zero byte", path);
	else
		rc = parse(path, (char *)b.p, k, e);
out:
	buf_free(&b);
	return rc;
}

static int make(const char *path, struct kek *k, struct err *e)
{
	char id[2 * KEK_ID_LEN + 1], key[2 * KEY_LEN + 1];
	struct buf b = BUF_INIT(KEK_FILE_MAX);
	int rc;

	k->version = 1;
	if (random_bytes(k->id, KEK_ID_LEN) != 0 || random_bytes(k->key, KEY_LEN) != 0)
		return err_set(e, PQC_ECRYPTO, "no randomness for a key");
	hex_encode(k->id, KEK_ID_LEN, id);
	hex_encode(k->key, KEY_LEN, key);
	buf_printf(&b,
		   "# The key that protects the keys of stored files. Whoever has it and the "
		   "store reads them;\n# without it they are lost. Keep a copy apart from "
		   "the store.\n" MAGIC " %s %u %s\n",
		   id, k->version, key);
	if (buf_error(&b) != 0)
		rc = err_set(e, buf_error(&b), "out of memory");
	else
		rc = file_create(AT_FDCWD, path, b.p, b.len, 0600, e);
	secret_wipe(key, sizeof(key));
	buf_free(&b);
	return rc;
}

int kek_load_or_make(const char *path, struct kek *k, bool *made, struct err *e)
{
	int rc = kek_load(path, k, e);

	*made = false;
	if (rc != PQC_ENOTFOUND)
		return rc;
	rc = make(path, k, e);
	*made = rc == 0;
	return rc;
}
