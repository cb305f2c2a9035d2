/*
 * Seals data that is made on the fly, of a length that nobody knows before: the library calls one
 * function for plaintext and another that takes the container away. Nothing is kept in memory or in
 * a file.
 *
 *   make stream
 *   ./stream bob.pub 1000000 >numbers.pqx && pqc open -i bob -o - numbers.pqx | tail -1
 */
#include <pqc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The lines "1", "2", ... up to last; line[at..len) is what is left of the one before. */
struct numbers {
	unsigned long next, last;
	char line[32];
	size_t at, len;
};

/* At least a byte and at most n, however few that are; 0 is the end. */
static int64_t give(void *arg, void *p, size_t n)
{
	struct numbers *x = arg;
	size_t got = 0;

	while (got < n) {
		size_t k = x->len - x->at;

		if (k == 0 && x->next > x->last)
			break;
		if (k == 0) {
			x->at = 0;
			x->len = (size_t)snprintf(x->line, sizeof(x->line), "%lu\n", x->next++);
			continue;
		}
		if (k > n - got)
			k = n - got;
		memcpy((char *)p + got, x->line + x->at, k);
		x->at += k;
		got += k;
	}
	return (int64_t)got;
}

/* All of it, or an error that ends the call. */
static int take(void *arg, const void *p, size_t n)
{
	return fwrite(p, 1, n, arg) == n ? 0 : PQC_EIO;
}

int main(int argc, char **argv)
{
	struct pqc_seal_options o = PQC_INIT(o);
	struct numbers numbers = {.next = 1};
	struct pqc_source from = {
		.kind = PQC_IO_CALLBACK, .size = PQC_SIZE_UNKNOWN, .read = give, .arg = &numbers};
	struct pqc_sink to = {.kind = PQC_IO_CALLBACK, .write = take, .arg = stdout};
	struct pqc_public *recipient;
	struct pqc_error e;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: stream KEY.pub COUNT >FILE\n");
		return 2;
	}
	numbers.last = strtoul(argv[2], NULL, 10);
	if ((rc = pqc_public_load(argv[1], &recipient, &e)) == PQC_OK) {
		o.recipients = (const struct pqc_public *const *)&recipient;
		o.recipient_count = 1;
		rc = pqc_seal(&from, &to, &o, NULL, NULL, &e);
		pqc_public_free(recipient);
	}
	if (rc == PQC_OK && fflush(stdout) != 0) {
		fprintf(stderr, "standard output: it could not be written\n");
		return 1;
	}
	if (rc != PQC_OK)
		fprintf(stderr, "%s (%s)\n", e.message, pqc_error_name(rc));
	return rc == PQC_OK ? 0 : 1;
}
