/*
 * Seals a file for somebody, or opens it, with a line of progress; Ctrl-C ends it and leaves
 * nothing behind.
 *
 *   make seal                             (needs libpqc and pkg-config; see Makefile)
 *   ./seal seal bob.pub report.pdf report.pdf.pqx
 *   ./seal open bob report.pdf.pqx copy.pdf
 *
 * bob and bob.pub are a key pair as `pqc keygen bob` makes it.
 */
#include <pqc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pqc_cancel *interrupted;

static void on_signal(int number)
{
	(void)number;
	pqc_cancel_set(interrupted);
}

/* Every failure has a code, a name of it that scripts may look at, and a sentence for people. */
static void check(int rc, const struct pqc_error *e)
{
	if (rc == PQC_OK)
		return;
	fprintf(stderr, "\n%s (%s)\n", e->message, pqc_error_name(rc));
	exit(pqc_error_exit_code(pqc_error_name(rc)));
}

static int show(void *arg, const struct pqc_progress *p)
{
	(void)arg;
	if (p->total != PQC_SIZE_UNKNOWN && p->total > 0)
		fprintf(stderr, "\r%3.0f %%", 100.0 * (double)p->done / (double)p->total);
	return 0; /* anything else would end it */
}

static void seal(const char *key, const struct pqc_source *from, const struct pqc_sink *to,
		 const struct pqc_control *control)
{
	struct pqc_seal_options o = PQC_INIT(o);
	struct pqc_public *recipient;
	struct pqc_seal_result r;
	struct pqc_error e;

	check(pqc_public_load(key, &recipient, &e), &e);
	o.recipients = (const struct pqc_public *const *)&recipient;
	o.recipient_count = 1;
	check(pqc_seal(from, to, &o, control, &r, &e), &e);
	printf("\nsealed: %llu bytes in %llu\n", (unsigned long long)r.size,
	       (unsigned long long)r.sealed_size);
	pqc_public_free(recipient);
}

static void open_it(const char *key, const struct pqc_source *from, const struct pqc_sink *to,
		    const struct pqc_control *control)
{
	struct pqc_open_options o = PQC_INIT(o);
	struct pqc_identity *identity;
	struct pqc_open_result r;
	struct pqc_error e;

	check(pqc_identity_load(key, getenv("PASSPHRASE"), &identity, &e), &e);
	o.identity = identity;
	check(pqc_open(from, to, &o, control, &r, &e), &e);
	printf("\nopened: %llu bytes, %s\n", (unsigned long long)r.size,
	       r.is_signed ? "signed" : "not signed");
	pqc_identity_free(identity);
}

int main(int argc, char **argv)
{
	struct pqc_control control = PQC_INIT(control);
	struct pqc_source from = {.kind = PQC_IO_PATH};
	struct pqc_sink to = {.kind = PQC_IO_PATH};
	struct pqc_error e;

	if (argc != 5 || (strcmp(argv[1], "seal") != 0 && strcmp(argv[1], "open") != 0)) {
		fprintf(stderr, "usage: seal seal KEY.pub FILE OUT | seal open KEY FILE OUT\n");
		return 2;
	}
	check(pqc_cancel_new(&interrupted, &e), &e);
	signal(SIGINT, on_signal);
	control.progress = show;
	control.cancel = interrupted;
	from.path = argv[3];
	to.path = argv[4];
	if (strcmp(argv[1], "seal") == 0)
		seal(argv[2], &from, &to, &control);
	else
		open_it(argv[2], &from, &to, &control);
	pqc_cancel_free(interrupted);
	return 0;
}
