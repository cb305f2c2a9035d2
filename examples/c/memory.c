/*
 * Sends an array from memory and gets it into memory again: no file, no copy. The array is read
 * and written in place, so it must not change meanwhile.
 *
 *   make memory
 *   ./memory pqc://fl.example.org/weights 1000000
 *
 * Who we are is $PQC_HOME/identity; the server must be known.
 */
#include <inttypes.h>
#include <pqc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int rc, const struct pqc_error *e)
{
	if (rc == PQC_OK)
		return;
	fprintf(stderr, "%s (%s)\n", e->message, pqc_error_name(rc));
	exit(1);
}

static struct pqc_client *connect_as_me(void)
{
	struct pqc_client_options o = PQC_INIT(o);
	struct pqc_buffer path;
	struct pqc_identity *me;
	struct pqc_client *client;
	struct pqc_error e;

	check(pqc_home_path("identity", &path, &e), &e);
	check(pqc_identity_load(path.data, NULL, &me, &e), &e);
	o.identity = me;
	check(pqc_client_new(&o, &client, &e), &e);
	pqc_identity_free(me);
	pqc_buffer_free(&path);
	return client;
}

static float *array(size_t n)
{
	float *a = calloc(n, sizeof(*a));

	if (a == NULL) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return a;
}

int main(int argc, char **argv)
{
	/* A call that was interrupted goes on when it is made again with the same bytes. */
	struct pqc_send_options o = PQC_INIT(o);
	size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct pqc_source from = {.kind = PQC_IO_MEMORY};
	struct pqc_sink to = {.kind = PQC_IO_MEMORY};
	struct pqc_transfer t;
	struct pqc_client *client;
	struct pqc_error e;
	float *weights, *copy;

	if (n == 0) {
		fprintf(stderr, "usage: memory URL COUNT\n");
		return 2;
	}
	weights = array(n);
	copy = array(n);
	for (size_t i = 0; i < n; i++)
		weights[i] = (float)i / 3;

	client = connect_as_me();
	from.data = weights;
	from.size = n * sizeof(*weights);
	o.resume_memory = 1;
	check(pqc_send(client, argv[1], &from, &o, NULL, &t, &e), &e);
	printf("sent %" PRIu64 " bytes in %.2f s\n", t.size, t.seconds);
	pqc_transfer_free(&t);

	to.data = copy;
	to.size = n * sizeof(*copy);
	check(pqc_get(client, argv[1], &to, NULL, NULL, &t, &e), &e);
	printf("got %" PRIu64 " bytes, %s\n", t.size,
	       memcmp(weights, copy, n * sizeof(*copy)) == 0 ? "the same" : "NOT the same");
	pqc_transfer_free(&t);
	pqc_client_free(client);
	free(weights);
	free(copy);
	return 0;
}
