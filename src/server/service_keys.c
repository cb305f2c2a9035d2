/* The server's identity and key-encryption key: found, or made at the first start. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/home.h"
#include "crypto/secmem.h"
#include "server/kek_file.h"
#include "server/service_impl.h"

static int make_identity(struct service *s, struct err *e)
{
	const struct suite *suite;
	const char *pass = NULL;
	int rc;

	if ((rc = suite_by_name(opt_text(s->o.opts, "suite"), &suite, e)) != 0 ||
	    (rc = s->o.passphrase(s->o.arg, s->identity_path, true, &pass, e)) != 0 ||
	    (rc = path_make_parent(s->identity_path, e)) != 0)
		return rc;
	if ((rc = identity_generate(suite, &s->id)) != 0)
		return err_set(e, rc, "cannot make a key");
	rc = identity_save(s->id, s->identity_path, pass, "pqc server", e);
	s->made_identity = rc == 0;
	return rc;
}

static int find_identity(struct service *s, struct err *e)
{
	const char *pass = NULL;
	int rc = identity_load(s->identity_path, NULL, &s->id, e);

	if (rc == PQC_ENOTFOUND)
		return make_identity(s, e);
	if (rc != PQC_EPASSPHRASE)
		return rc;
	if ((rc = s->o.passphrase(s->o.arg, s->identity_path, false, &pass, e)) != 0)
		return rc;
	return identity_load(s->identity_path, pass, &s->id, e);
}

/* When the file was written, unix seconds; 0: not known. */
static uint64_t written(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_mtime : 0;
}

static int find_keys(struct service *s, struct err *e)
{
	bool made;
	int rc;

	if ((rc = find_identity(s, e)) != 0)
		return rc;
	if ((s->kek = secret_alloc(sizeof(*s->kek))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	if ((rc = kek_load_or_make(s->kek_path, s->kek, &made, e)) == 0 && made)
		log_event(s->o.log, LOG_INFO, "kek.made",
			  (struct log_field[]){log_str("file", s->kek_path), {0}});
	s->server_opts.identity_created = written(s->identity_path);
	s->server_opts.kek_created = written(s->kek_path);
	return rc;
}

/* Several processes may start in one new directory at the same time: one of them makes the keys. */
int service_load_keys(struct service *s, struct err *e)
{
	char path[PATH_MAX];
	int fd, rc;

	if ((rc = file_mkdirs(s->o.data_dir, 0700, e)) != 0 ||
	    (rc = path_join(s->o.data_dir, "keys.lock", path, e)) != 0)
		return rc;
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_sys(e, errno, "%s", path);
	do
		rc = flock(fd, LOCK_EX);
	while (rc != 0 && errno == EINTR);
	rc = rc != 0 ? err_sys(e, errno, "%s", path) : find_keys(s, e);
	close(fd);
	return rc;
}
