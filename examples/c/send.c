/*
 * Sends a file to a server and prints what the server's receipt proves. Run it again after an
 * interruption: it goes on where it stopped.
 *
 *   make send
 *   ./send update.bin pqc://fl.example.org/round-17/update.bin
 *
 * Who we are is $PQC_HOME/identity (~/.config/pqc/identity), made by `pqc keygen`; the server must be
 * known, by `pqc trust add`.
 */
#include <pqc.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int rc, const struct pqc_error *e)
{
	if (rc == PQC_OK)
		return;
	fprintf(stderr, "%s (%s)\n", e->message, pqc_error_name(rc));
	exit(pqc_error_exit_code(pqc_error_name(rc)));
}

static int show(void *arg, const struct pqc_progress *p)
{
	(void)arg;
	if (p->queued)
		fprintf(stderr, "\rwaiting, place %u ", p->position);
	else
		fprintf(stderr, "\r%llu of %llu bytes ", (unsigned long long)p->done,
			(unsigned long long)p->total);
	return 0;
}

static void notice(void *arg, const char *event, const char *text)
{
	(void)arg;
	fprintf(stderr, "\n%s: %s\n", event, text);
}

static void print_id(const char *what, const uint8_t id[PQC_ID_SIZE])
{
	printf("%-8s", what);
	for (int i = 0; i < PQC_ID_SIZE; i++)
		printf("%02x", id[i]);
	putchar('\n');
}

static struct pqc_client *connect_as_me(void)
{
	struct pqc_client_options o = PQC_INIT(o);
	struct pqc_buffer path;
	struct pqc_identity *me;
	struct pqc_client *client;
	struct pqc_error e;

	check(pqc_home_path("identity", &path, &e), &e);
	check(pqc_identity_load(path.data, getenv("PASSPHRASE"), &me, &e), &e);
	o.identity = me;
	check(pqc_client_new(&o, &client, &e), &e);
	pqc_identity_free(me); /* the client keeps what it needs */
	pqc_buffer_free(&path);
	return client;
}

int main(int argc, char **argv)
{
	struct pqc_control control = PQC_INIT(control);
	struct pqc_source from = {.kind = PQC_IO_PATH};
	struct pqc_receipt_info proof;
	struct pqc_transfer t;
	struct pqc_client *client;
	struct pqc_error e;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: send FILE URL\n");
		return 2;
	}
	from.path = argv[1];
	control.progress = show;
	control.notice = notice;
	client = connect_as_me();
	rc = pqc_send(client, argv[2], &from, NULL, &control, &t, &e);
	fprintf(stderr, "\n");
	if (rc == PQC_OK)
		rc = pqc_receipt_verify(t.receipt.data, t.receipt.size, &proof, &e);
	pqc_client_free(client);
	if (rc == PQC_OK) {
		print_id("server", proof.server_id);
		print_id("sender", proof.sender_id);
		print_id("file", proof.file_id);
		printf("size    %llu\nentry   %llu of the server's log\n",
		       (unsigned long long)proof.size, (unsigned long long)proof.log_index);
	}
	pqc_transfer_free(&t);
	check(rc, &e);
	return 0;
}
