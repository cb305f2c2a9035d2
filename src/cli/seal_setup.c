#include "cli/seal_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/secmem.h"
#include "server/kek_file.h"

#define DATA_MAX (64 * 1024) /* bytes of associated data */

const struct opt file_options[] = {
	{.name = "out",
	 .letter = 'o',
	 .kind = OPT_FILE,
	 .arg = "FILE|-",
	 .help = "Where it goes; without it a name made from that of the input, or standard "
		 "output when the input is standard input"},
	{.name = "force",
	 .letter = 'f',
	 .kind = OPT_FLAG,
	 .help = "Replace a file that is there already"},
	{.name = "threads",
	 .kind = OPT_NUMBER,
	 .arg = "N",
	 .min = 1,
	 .max = SEAL_THREADS_MAX,
	 .help = "Threads to work with; without it one for each processor and one more, at most 4"},
	{.name = "quiet", .letter = 'q', .kind = OPT_FLAG, .help = "Report errors only"},
	{.name = "json",
	 .kind = OPT_FLAG,
	 .help = "Print the result, and errors, as JSON objects, one a line"},
	{0},
};
const struct opt opener_options[] = {
	{.name = "identity",
	 .letter = 'i',
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "The private key that opens it; without this and another key, "
		 "$PQC_HOME/identity"},
	{.name = "key-passphrase-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .env = "PQC_PASSPHRASE_FILE",
	 .help = "Holds the private key's own passphrase in its first line; without it you are "
		 "asked"},
	{.name = "passphrase",
	 .letter = 'p',
	 .kind = OPT_FLAG,
	 .flags = OPT_NO_ENV,
	 .help = "Ask for the passphrase that opens it"},
	{.name = "passphrase-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .env = "PQC_SEAL_PASSPHRASE_FILE",
	 .help = "Holds the passphrase that opens it in its first line"},
	{.name = "raw-key-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "Holds the key that opens it: 64 hex digits, mode 0600"},
	{.name = "associated-data-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .help = "What that key was bound to: the bytes of FILE"},
	{.name = "kek-file",
	 .kind = OPT_FILE,
	 .arg = "FILE",
	 .env = "PQC_SEAL_KEK_FILE",
	 .help = "Holds the key-encryption key that opens it, mode 0600"},
	{0},
};

void keyring_free(struct keyring *k)
{
	identity_free(k->identity);
	passphrase_free(k->passphrase);
	secret_free(k->raw_key, KEY_LEN);
	secret_free(k->kek, sizeof(*k->kek));
	buf_free(&k->data);
	free(k->recipient);
	free(k->list);
}

int keyring_recipients(struct keyring *k, const struct cli *c, const char *option, struct err *e)
{
	int rc;

	k->n = opt_count(c->opts, option);
	k->recipient = calloc(k->n + 1, sizeof(*k->recipient));
	k->list = calloc(k->n + 1, sizeof(*k->list));
	if (k->recipient == NULL || k->list == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	for (size_t i = 0; i < k->n; i++) {
		const char *path = opt_item(c->opts, option, i);

		if ((rc = public_identity_load(path, &k->recipient[i], e)) != 0) {
			err_prefix(e, "--%s", option);
			return rc;
		}
		k->list[i] = &k->recipient[i];
	}
	return 0;
}

int keyring_passphrase(struct keyring *k, const struct cli *c, const char *prefix, bool fresh,
		       struct err *e)
{
	char flag[32], name[48];
	const char *file;

	snprintf(flag, sizeof(flag), "%spassphrase", prefix);
	snprintf(name, sizeof(name), "%spassphrase-file", prefix);
	file = opt_text(c->opts, name);
	if (file != NULL)
		return passphrase_file(file, &k->passphrase, e);
	if (!opt_flag(c->opts, flag))
		return 0;
	return passphrase_ask(fresh ? "New passphrase: " : "Passphrase: ", fresh, &k->passphrase,
			      e);
}

static int take_data(struct keyring *k, const struct cli *c, struct err *e)
{
	const char *file = opt_text(c->opts, "associated-data-file");
	int rc;

	if (file == NULL)
		return 0;
	if (k->raw_key == NULL)
		return err_set(e, PQC_EUSAGE,
			       "--associated-data-file goes with --raw-key-file: it is that key "
			       "which is bound to the data");
	buf_init(&k->data, DATA_MAX);
	if ((rc = file_slurp(AT_FDCWD, file, &k->data, e)) != 0)
		err_prefix(e, "--associated-data-file");
	else if (k->data.len == 0)
		rc = err_set(e, PQC_EUSAGE, "%s is empty: that is no data to bind a key to", file);
	return rc;
}

static int take_kek(struct keyring *k, const struct cli *c, struct err *e)
{
	const char *file = opt_text(c->opts, "kek-file");

	if (file == NULL)
		return 0;
	if ((k->kek = secret_alloc(sizeof(*k->kek))) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	return kek_load(file, k->kek, e);
}

int keyring_keys(struct keyring *k, const struct cli *c, struct err *e)
{
	const char *file = opt_text(c->opts, "raw-key-file");
	int rc;

	if (file != NULL && (rc = raw_key_file(file, &k->raw_key, e)) != 0)
		return rc;
	if ((rc = take_data(k, c, e)) != 0)
		return rc;
	return take_kek(k, c, e);
}

int keyring_opener(struct keyring *k, const struct cli *c, struct open_keys *out, struct err *e)
{
	int rc;

	if ((rc = keyring_passphrase(k, c, "", false, e)) != 0 || (rc = keyring_keys(k, c, e)) != 0)
		return rc;
	if (opt_text(c->opts, "identity") != NULL ||
	    (k->passphrase == NULL && k->raw_key == NULL && k->kek == NULL))
		rc = own_identity(c, "key-passphrase-file", &k->identity, e);
	*out = (struct open_keys){.identity = k->identity,
				  .raw_key = k->raw_key,
				  .associated_data = k->data.p,
				  .associated_data_size = k->data.len,
				  .kek = k->kek,
				  .passphrase = k->passphrase};
	return rc;
}

int input_open(const char *path, int *fd, struct err *e)
{
	if (strcmp(path, "-") == 0) {
		if (isatty(STDIN_FILENO) == 1)
			return err_set(e, PQC_EUSAGE,
				       "standard input is a terminal: name a file, or pipe "
				       "something in");
		*fd = STDIN_FILENO;
		return 0;
	}
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return *fd >= 0 ? 0 : err_sys(e, errno, "%s", path);
}

void input_close(int fd)
{
	if (fd > STDIN_FILENO)
		close(fd);
}

int output_sink(const struct cli *c, const char *path, struct pqc_sink *to, struct err *e)
{
	const bool out = strcmp(path, "-") == 0;

	if (out && isatty(STDOUT_FILENO) == 1)
		return err_set(e, PQC_EUSAGE,
			       "standard output is a terminal, and this is not text for it: give "
			       "-o FILE, or send it through a pipe");
	*to = (struct pqc_sink){.kind = out ? PQC_IO_FD : PQC_IO_PATH,
				.path = path,
				.replace = opt_flag(c->opts, "force"),
				.fd = STDOUT_FILENO};
	return 0;
}

int seal_progress(void *arg, uint64_t done, uint64_t total)
{
	meter_update(arg, done, total, 0);
	return atomic_load(signals_flag());
}
