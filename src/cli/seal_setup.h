/* What seal, open and rewrap share: for whom, with what, from where and where to. */
#ifndef PQC_CLI_SEAL_SETUP_H
#define PQC_CLI_SEAL_SETUP_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "client/sealfile.h"

/* Secrets and recipients, and who owns them. */
struct keyring {
	struct identity *identity;
	char *passphrase;
	uint8_t *raw_key;
	struct buf data; /* that raw_key is bound to */
	struct kek *kek;
	struct public_identity *recipient; /* array */
	const struct public_identity **list;
	size_t n;
};
void keyring_free(struct keyring *k);

/* Load each FILE.pub of a list option. */
int keyring_recipients(struct keyring *k, const struct cli *c, const char *option,
		       struct err *e) MUST_CHECK;
/* --passphrase (ask; twice for a new one) or --passphrase-file, whose names begin with prefix. */
int keyring_passphrase(struct keyring *k, const struct cli *c, const char *prefix, bool fresh,
		       struct err *e) MUST_CHECK;
/* --raw-key-file with --associated-data-file, and --kek-file. */
int keyring_keys(struct keyring *k, const struct cli *c, struct err *e) MUST_CHECK;
/* What opens: that of the options, or else your own identity. */
int keyring_opener(struct keyring *k, const struct cli *c, struct open_keys *out,
		   struct err *e) MUST_CHECK;

/* Open a path or "-" for reading. PQC_EUSAGE for standard input on a terminal. */
int input_open(const char *path, int *fd, struct err *e) MUST_CHECK;
void input_close(int fd);
/*
 * Where it goes: the file at path, or standard output for "-". PQC_EUSAGE for standard output on a
 * terminal, which binary data would upset.
 */
int output_sink(const struct cli *c, const char *path, struct pqc_sink *to,
		struct err *e) MUST_CHECK;

/* A progress_fn; arg is a struct meter. Ends the work when a signal came. */
int seal_progress(void *arg, uint64_t done, uint64_t total);

/* Of seal and open: output, threads, reports. */
extern const struct opt file_options[];
/* Options of opening: identity, passphrases, raw key. */
extern const struct opt opener_options[];

#endif
