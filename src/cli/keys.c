/* Keys, passphrases and ids, from files and from people. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "container/header.h"
#include "crypto/secmem.h"

/* ---- secrets in files ---- */

/* Modes say nothing about pipes: what stands behind those is the caller's affair. */
static int check_private(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_sys(e, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return err_sys(e, EISDIR, "%s", path);
	if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
		return err_set(e, PQC_EREFUSED,
			       "%s: mode %04o lets others read this secret; run: chmod 600 %s",
			       path, (unsigned)st.st_mode & 07777, path);
	return 0;
}

/* Read the first line of path into out[max], without its end. */
static int read_secret_line(const char *path, char *out, size_t max, struct err *e)
{
	bool std = strcmp(path, "-") == 0;
	int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t got;
	char *end;
	int rc;

	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	rc = std ? 0 : check_private(fd, path, e);
	if (rc == 0 && (rc = file_read(fd, out, max, &got, e)) != 0)
		err_prefix(e, "%s", path);
	if (!std)
		close(fd);
	if (rc != 0)
		return rc;
	end = memchr(out, '\n', got);
	if (end == NULL && got == max)
		return err_set(e, PQC_ETOOBIG, "%s: the first line is longer than %zu bytes", path,
			       max - 1);
	if (end == NULL)
		end = out + got;
	if (end > out && end[-1] == '\r')
		end--;
	secret_wipe(end, max - (size_t)(end - out));
	if (strlen(out) != (size_t)(end - out))
		return err_set(e, PQC_EPASSPHRASE, "%s: the first line holds a zero byte", path);
	return 0;
}

int passphrase_file(const char *path, char **out, struct err *e)
{
	char *pass = secret_alloc(PASSPHRASE_MAX);
	int rc;

	if (pass == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	rc = read_secret_line(path, pass, PASSPHRASE_MAX, e);
	if (rc == 0 && pass[0] == '\0')
		rc = err_set(e, PQC_EPASSPHRASE, "%s: the first line, the passphrase, is empty",
			     path);
	if (rc != 0) {
		passphrase_free(pass);
		return rc;
	}
	*out = pass;
	return 0;
}

void passphrase_free(char *pass)
{
	secret_free(pass, PASSPHRASE_MAX);
}

int raw_key_file(const char *path, uint8_t **out, struct err *e)
{
	char *line = secret_alloc(PASSPHRASE_MAX);
	uint8_t *key = secret_alloc(KEY_LEN);
	int rc;

	if (line == NULL || key == NULL) {
		rc = err_set(e, PQC_ENOMEM, "out of memory");
		goto out;
	}
	if ((rc = read_secret_line(path, line, PASSPHRASE_MAX, e)) != 0)
		goto out;
	if (hex_decode(line, key, KEY_LEN) != 0) {
		rc = err_set(e, PQC_ECONFIG,
			     "%s: expected a key of 64 hex digits, found %zu characters", path,
			     strlen(line));
		goto out;
	}
	*out = key;
	key = NULL;
out:
	secret_free(line, PASSPHRASE_MAX);
	secret_free(key, KEY_LEN);
	return rc;
}

/* ---- secrets from a terminal ---- */

/*
 * Read a line into out[max]. The signals are let in by ppoll(2) only, so that none comes between
 * the look at the flag and the wait.
 */
static int read_line(int tty, const sigset_t *unblocked, char *out, size_t max, struct err *e)
{
	struct pollfd p = {.fd = tty, .events = POLLIN};
	size_t n = 0;

	for (;;) {
		int ready = ppoll(&p, 1, NULL, unblocked);
		ssize_t got;

		if (atomic_load(signals_flag()))
			return err_set(e, PQC_EINTERRUPTED, "interrupted");
		if (ready < 0 && errno == EINTR)
			continue;
		if ((got = read(tty, out + n, 1)) < 0)
			return err_sys(e, errno, "terminal");
		if (got == 0 || out[n] == '\n')
			break;
		if (++n == max)
			return err_set(e, PQC_ETOOBIG, "a passphrase has at most %zu bytes",
				       max - 1);
	}
	out[n] = '\0';
	return 0;
}

/* Ask for a line without echo. The terminal is as before on return. */
static int ask(int tty, const char *prompt, char *out, size_t max, struct err *e)
{
	struct termios before, quiet;
	sigset_t signals, unblocked;
	int rc;

	if (tcgetattr(tty, &before) != 0)
		return err_sys(e, errno, "terminal");
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	quiet.c_lflag |= ICANON;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &unblocked);
	/* What was typed before the question is dropped; what comes after it is the answer. */
	(void)tcsetattr(tty, TCSAFLUSH, &quiet);
	dprintf(tty, "%s", prompt);
	rc = read_line(tty, &unblocked, out, max, e);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	dprintf(tty, "\n");
	sigprocmask(SIG_SETMASK, &unblocked, NULL);
	return rc;
}

static int ask_again(int tty, const char *pass, struct err *e)
{
	char *again = secret_alloc(PASSPHRASE_MAX);
	int rc;

	if (again == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	rc = ask(tty, "The same again: ", again, PASSPHRASE_MAX, e);
	if (rc == 0 && strcmp(pass, again) != 0)
		rc = err_set(e, PQC_EPASSPHRASE, "the two passphrases differ");
	passphrase_free(again);
	return rc;
}

int passphrase_ask(const char *prompt, bool twice, char **out, struct err *e)
{
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	char *pass = secret_alloc(PASSPHRASE_MAX);
	int rc;

	signals_catch(); /* the terminal is put right even when the answer is Ctrl-C */
	if (pass == NULL)
		rc = err_set(e, PQC_ENOMEM, "out of memory");
	else if (tty < 0)
		rc = err_set(e, PQC_EPASSPHRASE,
			     "there is no terminal to ask for the passphrase "
			     "at: give --passphrase-file FILE");
	else
		rc = ask(tty, prompt, pass, PASSPHRASE_MAX, e);
	if (rc == 0 && pass[0] == '\0')
		rc = err_set(e, PQC_EPASSPHRASE, "an empty passphrase protects nothing");
	if (rc == 0 && twice)
		rc = ask_again(tty, pass, e);
	if (tty >= 0)
		close(tty);
	if (rc != 0) {
		passphrase_free(pass);
		return rc;
	}
	*out = pass;
	return 0;
}

/* ---- identities ---- */

int identity_passphrase(const struct cli *c, const char *path, const char *pass_option, char **pass,
			struct err *e)
{
	const char *file = opt_text(c->opts, pass_option);
	char prompt[PATH_MAX + 32];
	int rc;

	if (file != NULL)
		return passphrase_file(file, pass, e);
	snprintf(prompt, sizeof(prompt), "Passphrase of %s: ", path);
	if ((rc = passphrase_ask(prompt, false, pass, e)) == PQC_EPASSPHRASE)
		err_set(e, rc,
			"%s is protected by a passphrase: give --%s FILE, or run this on a "
			"terminal",
			path, pass_option);
	return rc;
}

int load_identity(const struct cli *c, const char *path, const char *pass_option,
		  struct identity **out, struct err *e)
{
	char *pass = NULL;
	int rc = identity_load(path, NULL, out, e);

	if (rc != PQC_EPASSPHRASE)
		return rc;
	if ((rc = identity_passphrase(c, path, pass_option, &pass, e)) == 0)
		rc = identity_load(path, pass, out, e);
	passphrase_free(pass);
	return rc;
}

int own_identity(const struct cli *c, const char *pass_option, struct identity **out, struct err *e)
{
	char path[PATH_MAX];
	int rc;

	if ((rc = path_option(c, "identity", "identity", path, e)) != 0)
		return rc;
	if ((rc = load_identity(c, path, pass_option, out, e)) == PQC_ENOTFOUND)
		err_set(e, rc,
			"there is no identity %s: make one with 'pqc keygen', or name "
			"another with --identity FILE",
			path);
	return rc;
}

int parse_id(const char *text, uint8_t id[ID_LEN], char comment[128], struct err *e)
{
	struct public_identity *p;
	int rc;

	if (comment != NULL)
		comment[0] = '\0';
	if (strlen(text) == 2 * ID_LEN && hex_decode(text, id, ID_LEN) == 0)
		return 0;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	rc = public_identity_load(text, p, e);
	if (rc == 0) {
		memcpy(id, p->id, ID_LEN);
		if (comment != NULL)
			memcpy(comment, p->comment, sizeof(p->comment));
	} else if (rc == PQC_ENOTFOUND) {
		err_set(e, rc, "'%s' is neither an id (64 hex digits) nor a file", text);
	}
	free(p);
	return rc;
}

int id_option(const struct cli *c, const char *option, uint8_t id[ID_LEN], bool *given,
	      struct err *e)
{
	const char *text = opt_text(c->opts, option);
	int rc;

	*given = text != NULL;
	if (text == NULL || (rc = parse_id(text, id, NULL, e)) == 0)
		return 0;
	err_prefix(e, "--%s", option);
	return rc;
}

/* ---- suite, part size, threads ---- */

const struct suite *suite_option(const struct cli *c)
{
	const char *name = opt_text(c->opts, "suite");
	const struct suite *s;

	return name != NULL && suite_by_name(name, &s, NULL) == 0 ? s : NULL;
}

int part_size_option(const struct cli *c, uint32_t *out, struct err *e)
{
	uint64_t asked = opt_number(c->opts, "part-size");
	uint32_t size = PQX_PART_MIN;
	char text[16];

	while (size < asked && size < PQX_PART_MAX)
		size *= 2;
	if (size != asked && opt_origin(c->opts, "part-size") != OPT_FROM_OLD_ENV)
		return err_set(e, PQC_EUSAGE,
			       "--part-size: expected a power of two from 64K to 32M, found '%s'",
			       opt_text(c->opts, "part-size"));
	if (size != asked)
		note("pqc: STREAM_CHUNK_SIZE=%s is taken as %s: parts are a power of two",
		     opt_text(c->opts, "part-size"), fmt_size(size, text));
	*out = size;
	return 0;
}

unsigned threads_option(const struct cli *c, unsigned otherwise)
{
	if (opt_text(c->opts, "threads") != NULL)
		return (unsigned)opt_number(c->opts, "threads");
	return otherwise;
}
